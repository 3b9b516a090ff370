// SPDX-License-Identifier: Apache-2.0

// Package progress shows a user what a command is doing: one line for each
// step, with the time it took.
package progress

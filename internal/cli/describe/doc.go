// SPDX-License-Identifier: Apache-2.0

// Package describe describes one group for a user. It is
// pure: its input is passed to it.
package describe

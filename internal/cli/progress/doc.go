// SPDX-License-Identifier: Apache-2.0

// Package progress shows how far groups are: bars that are drawn in place on a
// terminal, a line for each change elsewhere.
package progress

// SPDX-License-Identifier: Apache-2.0

// Package terminal reports what can be shown where the output goes: whether it is
// a terminal, how wide it is, and whether colours are wanted.
package terminal

// SPDX-License-Identifier: Apache-2.0

// Package table prints columns as kubectl does, and aligns names in every script:
// what counts is how wide a terminal draws a character, not its bytes.
package table

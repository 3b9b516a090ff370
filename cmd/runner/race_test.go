// SPDX-License-Identifier: Apache-2.0

//go:build race

package main_test

// The program is built as the test itself is: with the race detector.
func init() { buildFlags, cgo = []string{"-race"}, "1" }

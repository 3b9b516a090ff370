// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package memtune

func unmapProgram() error { return nil }

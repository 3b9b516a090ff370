//go:build !linux

package memtune

func unmapProgram() error { return nil }

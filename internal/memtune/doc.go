// SPDX-License-Identifier: Apache-2.0

// Package memtune keeps the memory of a mostly idle program small: it bounds the
// garbage of the Go heap, and returns memory to the operating system after a burst
// of work.
package memtune

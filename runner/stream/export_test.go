// SPDX-License-Identifier: Apache-2.0

package stream

import "os"

// SetFile swaps the file of a capture that has kept nothing yet.
func SetFile(c *Capture, f *os.File) { c.file.file = f }

// TextOf returns the text of bytes that are read in chunks.
func TextOf(raw string, chunk int) string {
	var t text
	var all []byte
	for raw != "" {
		n := min(chunk, len(raw))
		all = append(all, t.next([]byte(raw[:n]))...)
		raw = raw[n:]
	}
	return string(append(all, t.end()...))
}

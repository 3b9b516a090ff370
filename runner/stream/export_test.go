package stream

import "os"

// SetFile swaps the file of a capture that has kept nothing yet.
func SetFile(c *Capture, f *os.File) { c.file.file = f }

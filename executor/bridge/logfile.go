// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"io"
	"os"
	"sync"
)

// maxLog is the size of a log file at which it is rotated, in bytes.
const maxLog = 10 << 20

// LogFile appends to a log file. A file that is full is renamed with the suffix ".1", over
// the previous one. Several bridges may write to one file: each notices that another one has
// rotated it. A log that cannot be written is no reason to fail: it goes to Fallback.
type LogFile struct {
	Path string
	// Fallback receives what cannot be written to the file.
	Fallback io.Writer

	limit int64
	mu    sync.Mutex
	file  *os.File
}

// Write appends a line.
func (l *LogFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(int64(len(line))); err != nil {
		return l.Fallback.Write(line)
	}
	return l.file.Write(line)
}

// ready opens the file at Path, and rotates it first if there is no room.
func (l *LogFile) ready(more int64) error {
	limit := l.limit
	if limit == 0 {
		limit = maxLog
	}
	named, err := os.Stat(l.Path)
	if err == nil && named.Size() > 0 && named.Size()+more > limit {
		if err := os.Rename(l.Path, l.Path+".1"); err != nil {
			return err
		}
		named = nil
	}
	if l.file != nil {
		if open, err := l.file.Stat(); err == nil && named != nil && os.SameFile(open, named) {
			return nil
		}
		_ = l.file.Close()
		l.file = nil
	}
	l.file, err = os.OpenFile(l.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return err
}

// Close closes the file. A later Write opens it again.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}

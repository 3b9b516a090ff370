// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is the capacity of a pipe, so that one read empties it.
	bufferSize = 64 << 10
	// maxPending bounds what is still read after the task has terminated, in bytes; it
	// is the most that a process without privileges can make a pipe hold
	// (/proc/sys/fs/pipe-max-size).
	maxPending = 1 << 20
	// DefaultQuiet is how long an open pipe may stay silent after its task terminated.
	DefaultQuiet = 100 * time.Millisecond
	// maxFinish bounds Finish, whatever writes to the pipe and however slow the log is.
	maxFinish = time.Second
)

// Config is the destination and the limits of a captured stream.
type Config struct {
	// File receives the bytes exactly, or their head and tail where there are
	// more than Limit; it must not exist.
	File string
	// Text replaces bytes that are not UTF-8 by escapes such as \xe9, in File and Tee. All
	// lengths are then those of the result.
	Text bool
	// Limit is DefaultLimit where it is zero.
	Limit int64
	// Tee receives a copy for people to read. Its errors are ignored: a broken log
	// must not fail a task.
	Tee io.Writer
	// Quiet is DefaultQuiet where it is zero.
	Quiet time.Duration
}

// Capture is one stream of one task.
type Capture struct {
	// Path is the file with the bytes, once Finish has returned.
	Path  string
	read  *os.File
	write *os.File
	file  *bounded
	tee   io.Writer
	quiet time.Duration
	ended atomic.Bool
	done  chan struct{}

	// reading is held while the pipe is read; detached ends the reading.
	reading  sync.Mutex
	detached bool
	// text is nil for a stream that is kept byte by byte. It is used while the pipe is
	// read.
	text *text
}

// Start opens the pipe and the file and copies until Finish.
func Start(cfg Config) (*Capture, error) {
	file, err := os.OpenFile(cfg.File, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("creating the file of a stream: %w", err)
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("opening the pipe of a stream: %w", err)
	}
	// The read end alone does not block, so that a deadline can end a read; a
	// program expects blocking descriptors.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = file.Close()
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, fmt.Errorf("opening the pipe of a stream: %w", err)
	}
	c := &Capture{
		Path: cfg.File, tee: cfg.Tee, quiet: cfg.Quiet, done: make(chan struct{}),
		file:  &bounded{file: file, limit: cmp.Or(cfg.Limit, DefaultLimit), text: cfg.Text},
		read:  os.NewFile(uintptr(fds[0]), "stream"),
		write: os.NewFile(uintptr(fds[1]), "stream"),
	}
	if c.quiet == 0 {
		c.quiet = DefaultQuiet
	}
	if cfg.Text {
		c.text = &text{}
	}
	go c.copy()
	return c, nil
}

// Writer is the end that the task gets. Release gives it up.
func (c *Capture) Writer() *os.File { return c.write }

// Release closes this process's copy of the task's end; without it the stream
// never ends.
func (c *Capture) Release() { _ = c.write.Close() }

// Finish is called when the task has terminated. Everything that was written until
// then is kept. A process that outlives the task and holds the pipe open is read from
// until it is silent for Config.Quiet. Finish takes at most a second; a log that is
// slower than that misses the rest. The error is one of the file: bytes are lost.
func (c *Capture) Finish() error {
	c.ended.Store(true)
	limit := time.NewTimer(maxFinish)
	defer limit.Stop()
	_ = c.read.SetReadDeadline(time.Now().Add(c.quiet))
	select {
	case <-c.done:
	case <-limit.C:
		c.detach()
	}
	_ = c.read.Close()
	if err := c.file.Close(); err != nil {
		return fmt.Errorf("keeping a stream: %w", err)
	}
	return nil
}

// detach ends the copying: the log may be so slow that the copying does not notice a
// deadline. What is in the pipe is kept, without a copy in the log.
func (c *Capture) detach() {
	_ = c.read.SetReadDeadline(time.Now())
	c.reading.Lock()
	defer c.reading.Unlock()
	c.detached = true
	if c.text != nil {
		// The log may be writing the last result at this moment.
		c.text.renew()
	}
	c.drain(make([]byte, bufferSize), false)
	c.keepEnd()
}

// keep writes bytes of the pipe to the file, and returns what it wrote.
func (c *Capture) keep(p []byte) []byte {
	if c.text != nil {
		p = c.text.next(p)
	}
	_, _ = c.file.Write(p)
	return p
}

// keepEnd writes what remains of an incomplete character, and returns what it wrote.
func (c *Capture) keepEnd() []byte {
	if c.text == nil {
		return nil
	}
	rest := c.text.end()
	_, _ = c.file.Write(rest)
	return rest
}

// Len is the length of the stream so far, in bytes.
func (c *Capture) Len() int64 { return c.file.Len() }

// CopySince writes what the stream has received after its first offset bytes, at most
// the last limit bytes of it, and returns the offset for the next call. Where bytes are
// missing, a line reports how many. The task is not blocked meanwhile.
func (c *Capture) CopySince(w io.Writer, offset, limit int64) (next int64, err error) {
	if next, err = c.file.copySince(w, offset, limit); err != nil {
		return next, fmt.Errorf("reading a stream: %w", err)
	}
	return next, nil
}

func (c *Capture) copy() {
	defer close(c.done)
	defer c.end()
	buf := make([]byte, bufferSize)
	pending := 0
	for pending < maxPending {
		n, kept, err := c.readSome(buf)
		c.log(kept)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.reading.Lock()
			defer c.reading.Unlock()
			if !c.detached {
				c.drain(buf, true)
			}
			return
		}
		if err != nil {
			return
		}
		if c.ended.Load() {
			pending += n
			_ = c.read.SetReadDeadline(time.Now().Add(c.quiet))
		}
	}
}

// end keeps the rest of a stream that ends within a character.
func (c *Capture) end() {
	c.reading.Lock()
	var rest []byte
	if !c.detached {
		rest = c.keepEnd()
	}
	c.reading.Unlock()
	c.log(rest)
}

// readSome waits for bytes and keeps them in the file. It returns how many there were,
// and what was kept.
func (c *Capture) readSome(buf []byte) (n int, kept []byte, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.detached {
		return 0, nil, os.ErrClosed
	}
	n, err = c.read.Read(buf)
	return n, c.keep(buf[:n]), err
}

// drain reads what is in the pipe without waiting: a deadline may pass while a
// slow log delays the copying, before the last bytes were read.
func (c *Capture) drain(buf []byte, log bool) {
	_ = c.read.SetReadDeadline(time.Time{})
	conn, err := c.read.SyscallConn()
	if err != nil {
		return
	}
	for pending := 0; pending < maxPending; {
		n := 0
		_ = conn.Read(func(fd uintptr) bool {
			n, _ = unix.Read(int(fd), buf)
			return true
		})
		if n <= 0 {
			return
		}
		kept := c.keep(buf[:n])
		if log {
			c.log(kept)
		}
		pending += n
	}
}

func (c *Capture) log(p []byte) {
	if c.tee != nil && len(p) > 0 {
		_, _ = c.tee.Write(p)
	}
}

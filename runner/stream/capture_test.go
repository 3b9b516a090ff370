// SPDX-License-Identifier: Apache-2.0

package stream_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

func start(t *testing.T, cfg stream.Config) *stream.Capture {
	t.Helper()
	if cfg.File == "" {
		cfg.File = filepath.Join(t.TempDir(), "stdout")
	}
	c, err := stream.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, c *stream.Capture, data string) {
	t.Helper()
	if _, err := c.Writer().WriteString(data); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c *stream.Capture, want string) {
	t.Helper()
	raw, err := os.ReadFile(c.Path)
	if err != nil || string(raw) != want {
		t.Errorf("kept %d bytes, want %d: %v", len(raw), len(want), err)
	}
}

func TestCaptureIsByteExact(t *testing.T) {
	tests := map[string]string{
		"nothing":        "",
		"no newline":     "half a line",
		"binary":         string([]byte{0, 255, 254, 10, 13}),
		"more than fits": strings.Repeat("0123456789abcdef", 1<<16),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			c := start(t, stream.Config{Tee: &log})
			write(t, c, data)
			c.Release()
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
			expect(t, c, data)
			if log.String() != data {
				t.Errorf("the log got %d bytes", log.Len())
			}
		})
	}
}

func TestAProcessThatHoldsThePipeOpenIsCutOff(t *testing.T) {
	c := start(t, stream.Config{Quiet: time.Millisecond})
	held, err := unix.Dup(int(c.Writer().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, "before the end")
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "before the end")
	if err := unix.Close(held); err != nil {
		t.Fatal(err)
	}
}

// TestAProcessThatWritesSlowlyIsCutOff: it is never silent for long, and at its speed
// the bound on bytes would take hours.
func TestAProcessThatWritesSlowlyIsCutOff(t *testing.T) {
	c := start(t, stream.Config{})
	held, err := unix.Dup(int(c.Writer().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(held) }()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				_, _ = unix.Write(held, []byte("x"))
			case <-stop:
				return
			}
		}
	}()
	c.Release()
	began := time.Now()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Finish took %s", took)
	}
	close(stop)
	<-stopped
}

// TestALogThatBlocksLosesNothing: the file has everything that was written, although
// the log takes nothing more.
func TestALogThatBlocksLosesNothing(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	c := start(t, stream.Config{Tee: slow{gate}})
	write(t, c, "first ")
	awaitLen(c, int64(len("first ")))
	write(t, c, "second")
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "first second")
}

func TestAProcessThatNeverStopsWritingIsCutOff(t *testing.T) {
	c := start(t, stream.Config{Quiet: time.Minute})
	held := c.Writer()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for line := bytes.Repeat([]byte("x"), 4096); ; {
			if _, err := held.Write(line); err != nil {
				return
			}
		}
	}()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	<-stopped
}

// slow is a log that takes longer than the quiet time for every line.
type slow struct{ gate chan struct{} }

func (s slow) Write(p []byte) (int, error) {
	<-s.gate
	return len(p), nil
}

func TestASlowLogLosesNothing(t *testing.T) {
	gate := make(chan struct{})
	c := start(t, stream.Config{Tee: slow{gate}, Quiet: time.Nanosecond})
	held, err := unix.Dup(int(c.Writer().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, "first ")
	gate <- struct{}{}
	write(t, c, "second ")
	finished := make(chan error)
	go func() { finished <- c.Finish() }()
	write(t, c, "third")
	close(gate)
	c.Release()
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(c.Path)
	if !strings.HasPrefix(string(raw), "first second ") {
		t.Errorf("kept %q", raw)
	}
	if err := unix.Close(held); err != nil {
		t.Fatal(err)
	}
}

type brokenLog struct{}

func (brokenLog) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestALogThatNobodyTakesDoesNotMatter(t *testing.T) {
	c := start(t, stream.Config{Tee: brokenLog{}})
	write(t, c, "data")
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "data")
}

func TestAFullDiskIsToldAndDoesNotStopTheTask(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this machine has no /dev/full")
	}
	dir := t.TempDir()
	c := start(t, stream.Config{File: filepath.Join(dir, "stdout")})
	// The file itself is replaced by one that takes nothing.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stream.SetFile(c, full)
	write(t, c, strings.Repeat("x", 1<<20))
	c.Release()
	if err := c.Finish(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("err = %v, want ENOSPC", err)
	}
}

func TestAFileThatExistsIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Start(stream.Config{File: path}); !errors.Is(err, os.ErrExist) {
		t.Errorf("err = %v", err)
	}
}

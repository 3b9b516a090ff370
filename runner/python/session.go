// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/python/harness"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

// maxQuoted bounds what is quoted of the interpreter's own stderr, in bytes.
const maxQuoted = 1 << 10

// UnavailableError reports why the image's Python cannot run functions, and how to
// mend the image.
type UnavailableError struct{ Message string }

func (e *UnavailableError) Error() string { return e.Message }

// Config is what a Session is started with.
type Config struct {
	Reaper *process.Reaper
	// Interpreter is a name to look up in PATH, or a path.
	Interpreter string
	// Dir is a directory of its own for the harness; it is created.
	Dir string
	// Env is the environment of harness and tasks, NAME=value.
	Env []string
	// Log takes what the interpreter itself writes.
	Log io.Writer
	// Preload are modules that are imported once, before the first task, and that all
	// tasks share. They must be safe to fork: no threads, no connections. A module that
	// cannot be imported is a line in Log.
	Preload []string
	// Running is called when the process has begun; nil for nothing.
	Running func()
}

// Session is one running harness.
type Session struct {
	channel *channel
	process *process.Process
	log     *stream.Capture
	version contract.PythonVersions
}

// Start writes the harness to Config.Dir, starts it and waits until it is
// ready. The error is an *UnavailableError where the image is to blame.
func Start(ctx context.Context, cfg Config) (*Session, error) {
	if err := unpack(cfg.Dir); err != nil {
		return nil, fmt.Errorf("writing the harness: %w", err)
	}
	log, err := stream.Start(stream.Config{File: filepath.Join(cfg.Dir, "log"), Tee: cfg.Log})
	if err != nil {
		return nil, err
	}
	ours, theirs, err := newChannel()
	if err != nil {
		log.Release()
		_ = log.Finish()
		return nil, err
	}
	s := &Session{channel: ours, log: log}
	s.process, err = cfg.Reaper.Start(process.Spec{
		Argv:  append([]string{cfg.Interpreter, filepath.Join(cfg.Dir, "main.py")}, cfg.Preload...),
		Env:   cfg.Env,
		Dir:   cfg.Dir,
		Files: []*os.File{nil, log.Writer(), log.Writer(), theirs},
	})
	log.Release()
	_ = theirs.Close()
	if err == nil && cfg.Running != nil {
		cfg.Running()
	}
	if err != nil {
		s.Close()
		return nil, notStarted(cfg.Interpreter, err)
	}
	if err := s.handshake(ctx, cfg.Interpreter); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func notStarted(interpreter string, err error) error {
	if errors.Is(err, process.ErrNotFound) || errors.Is(err, process.ErrNotExecutable) {
		return &UnavailableError{fmt.Sprintf(
			"the image has no usable %s (%s): use an image with Python 3.9 or newer and cloudpickle", interpreter, err)}
	}
	return err
}

func (s *Session) handshake(ctx context.Context, interpreter string) error {
	stop := context.AfterFunc(ctx, func() { s.process.Signal(syscall.SIGKILL) })
	defer stop()
	e, err := s.channel.receive()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("starting Python: %w", context.Cause(ctx))
	case err != nil:
		return &UnavailableError{fmt.Sprintf("%s ended before it was ready (%s)%s: the image's Python is broken",
			interpreter, ending(s.process.Exit()), s.quoted())}
	case e.Event == "unavailable":
		return &UnavailableError{e.Message}
	case e.Event != "ready" || e.Protocol != protocolVersion:
		return fmt.Errorf("starting Python: the harness said %q, protocol %d", e.Event, e.Protocol)
	}
	s.version = contract.PythonVersions{Version: e.Python, Cloudpickle: e.Cloudpickle}
	return nil
}

func ending(exit process.Exit) string {
	if exit.Signal != 0 {
		return fmt.Sprintf("signal %d", exit.Signal)
	}
	return fmt.Sprintf("exit code %d", exit.Code)
}

// quoted returns the end of what the interpreter wrote, for a message.
func (s *Session) quoted() string {
	_ = s.log.Finish()
	raw, err := os.ReadFile(s.log.Path)
	text := strings.TrimSpace(strings.ToValidUTF8(string(raw[max(0, len(raw)-maxQuoted):]), ""))
	if err != nil || text == "" {
		return ""
	}
	return ": " + text
}

// Versions are the versions of the interpreter.
func (s *Session) Versions() contract.PythonVersions { return s.version }

// Close ends the harness. What it still runs falls to the Reaper.
func (s *Session) Close() {
	s.channel.close()
	if s.process != nil {
		s.process.Signal(syscall.SIGKILL)
		<-s.process.Done()
	}
	_ = s.log.Finish()
}

// unpack writes the harness's files.
func unpack(dir string) error {
	return fs.WalkDir(harness.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dest := filepath.Join(dir, path)
		if entry.IsDir() {
			return os.MkdirAll(dest, 0o755)
		}
		raw, err := harness.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(dest, raw, 0o644)
	})
}

// Alive reports whether the harness still runs.
func (s *Session) Alive() bool {
	select {
	case <-s.process.Done():
		return false
	default:
		return true
	}
}

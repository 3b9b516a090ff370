// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Errors of Start, in the words of a shell's exit codes 127 and 126.
var (
	ErrNotFound      = errors.New("command not found")
	ErrNotExecutable = errors.New("not executable")
)

// Spec is a process to start.
type Spec struct {
	// Argv is the argument vector. A name without a slash is looked up in the
	// PATH of Env.
	Argv []string
	// Env is the whole environment, NAME=value.
	Env []string
	// Dir is the working directory.
	Dir string
	// Files become descriptors 0, 1, 2, ...; nil is /dev/null.
	Files []*os.File
}

// Process is a child in a session and a process group of its own.
type Process struct {
	Pid  int
	done chan struct{}
	exit Exit
	once sync.Once
	// mu is held while the process is collected: its pid is valid while mu is
	// held and done is open.
	mu sync.Mutex
}

// Done is closed when the process has terminated and was collected. The remaining
// processes of its process group have been killed by then.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit waits for the end and returns how it ended.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal sends a signal to the process and its group; it does nothing once the
// process was collected.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.Pid, sig)
	}
}

// Terminated reports whether the process has terminated, collected or not: Done
// follows the termination with a delay.
func (p *Process) Terminated() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return true
	default:
		return isZombie(p.Pid)
	}
}

func (p *Process) end(exit Exit) {
	p.once.Do(func() {
		p.exit = exit
		close(p.done)
	})
}

// Start starts a process. Its error wraps ErrNotFound or ErrNotExecutable where
// the program is to blame.
func (r *Reaper) Start(spec Spec) (*Process, error) {
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return nil, fmt.Errorf("starting a process: %w: empty name", ErrNotFound)
	}
	program, err := lookPath(spec.Argv[0], spec.Env, spec.Dir)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Argv[0], err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Argv[0], err)
	}
	defer func() { _ = null.Close() }()
	attr := &syscall.ProcAttr{Dir: spec.Dir, Env: spec.Env, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, f := range spec.Files {
		if f == nil {
			f = null
		}
		attr.Files = append(attr.Files, f.Fd())
	}
	p, err := r.fork(program, spec.Argv, attr)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Argv[0], startError(err))
	}
	return p, nil
}

// fork holds the lock from the start to the registration, so that a child that
// ends at once is not taken for an orphan.
func (r *Reaper) fork(program string, argv []string, attr *syscall.ProcAttr) (*Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(program, argv, attr)
	if err != nil {
		return nil, err
	}
	p := &Process{Pid: pid, done: make(chan struct{})}
	r.children[pid] = p
	select {
	case r.started <- struct{}{}:
	default:
	}
	return p, nil
}

// startError formats an error of execve(2) as a shell does.
func startError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		// The file itself was found: what lacks is its interpreter.
		return fmt.Errorf("%w: the interpreter that the file names does not exist", ErrNotFound)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: %w", ErrNotExecutable, err)
	}
	return err
}

// lookPath finds a program as a shell does.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if err := executable(path); err != nil {
			return "", err
		}
		return path, nil
	}
	var refused error
	for _, entry := range filepath.SplitList(variable(env, "PATH")) {
		path := filepath.Join(entry, name)
		if !filepath.IsAbs(path) {
			continue
		}
		err := executable(path)
		if err == nil {
			return path, nil
		}
		if errors.Is(err, ErrNotExecutable) {
			refused = fmt.Errorf("%s: %w", path, err)
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", fmt.Errorf("%w in PATH", ErrNotFound)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: permission denied", ErrNotExecutable)
	case err != nil:
		return ErrNotFound
	case info.IsDir():
		return fmt.Errorf("%w: it is a directory", ErrNotExecutable)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%w: its mode is %#o", ErrNotExecutable, info.Mode().Perm())
	}
	return nil
}

func variable(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

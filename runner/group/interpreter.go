// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
)

// interpreter is the image's Python, started early so that it gets ready while
// inputs are fetched. It is used by one task at a time.
type interpreter struct {
	config python.Config
	dir    string
	// cancel stops a start that is no longer needed.
	cancel context.CancelFunc
	starts int
	ready  chan struct{}
	// running is closed when the first process has begun.
	running chan struct{}
	current *python.Session
	err     error
	version *contract.PythonVersions
}

// newInterpreter starts Python where there is a function to run.
func newInterpreter(ctx context.Context, r *run) *interpreter {
	ctx, cancel := context.WithCancel(ctx)
	p := &interpreter{
		cancel:  cancel,
		running: make(chan struct{}),
		config:  python.Config{Reaper: r.Reaper, Interpreter: r.Interpreter, Env: r.Env, Log: r.Stderr, Preload: r.Plan.Settings.Preload},
		dir:     filepath.Join(r.WorkDir, "harness"),
		ready:   make(chan struct{}),
	}
	p.config.Running = sync.OnceFunc(func() { close(p.running) })
	for _, t := range r.remaining() {
		if t.Function != "" {
			go p.start(ctx)
			return p
		}
	}
	close(p.ready)
	return p
}

func (p *interpreter) start(ctx context.Context) {
	defer close(p.ready)
	p.starts++
	p.config.Dir = filepath.Join(p.dir, strconv.Itoa(p.starts))
	if p.err = os.MkdirAll(p.config.Dir, 0o755); p.err != nil {
		return
	}
	if p.current, p.err = python.Start(ctx, p.config); p.err == nil {
		p.version = new(p.current.Versions())
	}
}

// awaitProcess waits until the process of Python has begun, or there will be none.
func (p *interpreter) awaitProcess() {
	select {
	case <-p.running:
	case <-p.ready:
	}
}

// session waits until Python is ready, or ctx is over. One that ended since,
// such as one that a process of an earlier task killed, is started again.
func (p *interpreter) session(ctx context.Context) (*python.Session, error) {
	select {
	case <-p.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if p.current != nil && !p.current.Alive() {
		p.current.Close()
		p.current, p.ready = nil, make(chan struct{})
		p.start(ctx)
	}
	return p.current, p.err
}

// versions returns nil if no function was to run. It is called at the end of the group,
// and does not wait for a Python that is not ready by then.
func (p *interpreter) versions() *contract.PythonVersions {
	p.cancel()
	<-p.ready
	return p.version
}

// known returns the versions if Python is ready; it does not wait.
func (p *interpreter) known() *contract.PythonVersions {
	select {
	case <-p.ready:
		return p.version
	default:
		return nil
	}
}

func (p *interpreter) close() {
	p.cancel()
	<-p.ready
	if p.current != nil {
		p.current.Close()
	}
}

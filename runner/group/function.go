package group

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
)

// runFunction runs a pickled function in a fork of the harness.
func (r *run) runFunction(ctx context.Context, task *contract.PlanTask, place place, streams *streams) outcome {
	in, bad := r.resolve(ctx, task)
	if bad != nil {
		return *bad
	}
	session, err := r.python.session(ctx)
	if unavailable, ok := errors.AsType[*python.UnavailableError](err); ok {
		return failed(contract.ReasonPythonUnavailable, "%s", unavailable.Message)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return notStarted()
	case err != nil:
		return failed(contract.ReasonPythonUnavailable, "%s", err)
	}
	if bad := in.checkVersions(session.Versions().Version); bad != nil {
		return *bad
	}
	kills := r.Memory.Kills()
	running, err := session.Run(r.request(task, in, place), streams.stdout.Writer(), streams.stderr.Writer())
	if err != nil {
		return failed(contract.ReasonExitCode, "%s before it could start this one", err)
	}
	streams.release()
	stopped := r.await(ctx, running)
	exit, err := running.Exit()
	return r.judge(exit, err, place, stopped, kills)
}

// judge makes an outcome of how the task's process ended and what it reported.
func (r *run) judge(exit process.Exit, ended error, place place, stopped bool, kills int64) outcome {
	report, err := python.ReadReport(place.report)
	if err != nil {
		return failed(contract.ReasonExitCode, "%s: %s", ending(exit), err).after(exit)
	}
	switch {
	case ended == nil && report != nil && report.Completed():
		return completed(exit, place.output)
	case stopped:
		return terminated(exit)
	case r.outOfMemory(exit, kills):
		return r.starved(exit)
	case ended != nil:
		return failed(contract.ReasonExitCode,
			"the Python process that runs the task, its parent, ended before it did (%s): did the function kill it?", ending(exit)).after(exit)
	case report != nil:
		bad := failed(report.Reason, "%s", report.Message).after(exit)
		bad.traceback = report.Traceback
		return bad
	case exit.Signal != 0:
		return failed(contract.ReasonExitCode, "%s before the function returned", ending(exit)).after(exit)
	}
	return failed(contract.ReasonExitCode,
		"the process ended with %s before the function returned: os._exit, or a library that ends the process", ending(exit)).after(exit)
}

func (r *run) request(task *contract.PlanTask, in *inputs, place place) python.Request {
	request := python.Request{
		Node:        task.NodeID,
		Dispatch:    r.Plan.DispatchID,
		Function:    in.function.file(),
		Hooks:       in.hooks.file(),
		Args:        make([]python.File, 0, len(in.args)),
		Kwargs:      make(map[string]python.File, len(in.kwargs)),
		Directory:   place.cwd,
		Environment: r.variables(task.NodeID),
		Output:      place.output,
		Report:      place.report,
	}
	for _, one := range in.args {
		request.Args = append(request.Args, one.file())
	}
	for name, one := range in.kwargs {
		request.Kwargs[name] = one.file()
	}
	return request
}

// interpreter is the image's Python, started early so that it gets ready while
// inputs are fetched. It is used by one task at a time.
type interpreter struct {
	config  python.Config
	dir     string
	starts  int
	ready   chan struct{}
	current *python.Session
	err     error
	version *contract.PythonVersions
}

// newInterpreter starts Python where the plan has a function.
func newInterpreter(ctx context.Context, r *run) *interpreter {
	p := &interpreter{
		config: python.Config{Reaper: r.Reaper, Interpreter: r.Interpreter, Env: r.Env, Log: r.Stderr},
		dir:    filepath.Join(r.WorkDir, "harness"),
		ready:  make(chan struct{}),
	}
	for _, t := range r.Plan.Tasks {
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

// session waits until Python is ready. One that ended since, such as by the
// hand of a process that an earlier task left, is started anew.
func (p *interpreter) session(ctx context.Context) (*python.Session, error) {
	<-p.ready
	if p.current != nil && !p.current.Alive() {
		p.current.Close()
		p.current, p.ready = nil, make(chan struct{})
		p.start(ctx)
	}
	return p.current, p.err
}

// versions are nil where no function was to run.
func (p *interpreter) versions() *contract.PythonVersions {
	<-p.ready
	return p.version
}

func (p *interpreter) close() {
	<-p.ready
	if p.current != nil {
		p.current.Close()
	}
}

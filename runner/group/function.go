package group

import (
	"context"
	"errors"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
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
		return unfinished(ctx, "Python was still starting")
	case err != nil:
		return failed(contract.ReasonPythonUnavailable, "%s", err)
	}
	if bad := in.checkVersions(session.Versions().Version); bad != nil {
		return *bad
	}
	kills := r.Memory.Kills()
	running, err := session.Run(ctx, r.request(task, in, place), streams.stdout.Writer(), streams.stderr.Writer())
	switch {
	case err != nil && ctx.Err() != nil:
		return unfinished(ctx, "its process was still starting")
	case err != nil:
		return failed(contract.ReasonExitCode, "%s", err)
	}
	streams.release()
	cause := r.await(ctx, running)
	exit, err := running.Exit()
	if cause != nil {
		return stopped(cause, exit)
	}
	return r.judge(exit, err, place, kills)
}

// judge returns the outcome of a task that was not stopped, from the exit of its
// process and from its report.
func (r *run) judge(exit process.Exit, ended error, place place, kills int64) outcome {
	report, err := python.ReadReport(place.report)
	if err != nil && !errors.Is(err, python.ErrNoReport) {
		return failed(contract.ReasonExitCode, "%s: %s", ending(exit), err).after(exit)
	}
	switch {
	case ended == nil && report != nil && report.Completed():
		return completed(exit, place.output)
	case r.outOfMemory(exit, kills):
		return r.oomKilled(exit)
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
		Directory:   place.scratch,
		Environment: r.variables(task.NodeID, place),
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

// SPDX-License-Identifier: Apache-2.0

package group

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
)

// runFunction runs a pickled function in a fork of the harness.
func (r *run) runFunction(ctx context.Context, task *contract.PlanTask, files taskFiles, streams *streams) outcome {
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
	running, err := session.Run(ctx, r.request(ctx, task, in, files), streams.stdout.Writer(), streams.stderr.Writer())
	switch {
	case err != nil && ctx.Err() != nil:
		return unfinished(ctx, "its process was still starting")
	case err != nil:
		return failed(contract.ReasonExitCode, "%s", err)
	}
	streams.release()
	cause := r.await(ctx, running)
	exit, err := running.Exit()
	r.useInstalledPackages()
	if cause != nil {
		if exit.Signal == sigSegv {
			// SIGTERM prints the stacks of all threads without the lock of the interpreter, and
			// can crash if threads start or finish at that moment.
			exit.Signal = sigTerm
		}
		return r.withOutOfMemory(stopped(cause, exit), kills)
	}
	return r.withOutOfMemory(judge(exit, err, files, streams), kills)
}

// judge returns the outcome of a task that was not stopped, from the exit of its
// process and from its report.
func judge(exit process.Exit, ended error, files taskFiles, streams *streams) outcome {
	report, err := python.ReadReport(files.report)
	if err != nil && !errors.Is(err, python.ErrNoReport) {
		return failed(contract.ReasonExitCode, "%s: %s", ending(exit), err).after(exit)
	}
	switch {
	case ended == nil && report != nil:
		return reported(report, exit, files)
	case ended != nil:
		return failed(contract.ReasonExitCode,
			"the Python process that runs the task, its parent, ended before it did (%s): did the function kill it?", ending(exit)).after(exit)
	case exit.Signal != 0:
		return failed(contract.ReasonExitCode, "%s before the function returned", ending(exit)).after(exit)
	case exit.Code == python.UnreportedCode:
		if why := streams.unreported(); why != "" {
			return failed(contract.ReasonOutputUploadFailed, "the outcome of the task could not be reported: %s", why).after(exit)
		}
	}
	return failed(contract.ReasonExitCode,
		"the process ended with %s before the function returned: os._exit, or a library that ends the process", ending(exit)).after(exit)
}

// reported returns the outcome that a function reported. It has the function's own
// exit code: exit handlers run after the report, and may exit with another one.
func reported(report *python.Report, exit process.Exit, files taskFiles) outcome {
	exit.Code, exit.Signal = int(report.ExitCode), 0
	if report.Completed() {
		return completed(exit, files.output)
	}
	bad := failed(report.Reason, "%s", report.Message).after(exit)
	bad.traceback = report.Traceback
	return bad
}

// unreported returns why a function could not report its outcome, as its process
// printed it; empty if that is unknown.
func (s *streams) unreported() string {
	if err := s.finish(); err != nil {
		return err.Error()
	}
	raw, err := os.ReadFile(s.stderr.Path)
	if err != nil {
		return ""
	}
	_, after, _ := bytes.Cut(raw, []byte(python.UnreportedLine))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return string(line)
}

// packages returns the folder of the environment that the pip hooks of the group share.
func (r *run) packages() string { return filepath.Join(r.WorkDir, "packages") }

// useInstalledPackages sets the paths of the commands that follow to the packages that
// a pip hook installed; functions do so themselves (taskgroup_harness/packages.py).
func (r *run) useInstalledPackages() {
	found, err := filepath.Glob(filepath.Join(r.packages(), "lib", "python*", "site-packages"))
	if err != nil || len(found) == 0 {
		return
	}
	r.Env = withFirst(r.Env, "PYTHONPATH", found[0])
	r.Env = withFirst(r.Env, "PATH", filepath.Join(r.packages(), "bin"))
}

func (r *run) request(ctx context.Context, task *contract.PlanTask, in *inputs, files taskFiles) python.Request {
	request := python.Request{
		Node:        task.NodeID,
		Dispatch:    r.Plan.DispatchID,
		Function:    in.function.file(),
		Hooks:       in.hooks.file(),
		Args:        make([]python.File, 0, len(in.args)),
		Kwargs:      make(map[string]python.File, len(in.kwargs)),
		Directory:   files.scratch,
		Environment: r.variables(task.NodeID, files),
		Output:      files.output,
		Report:      files.report,
		Packages:    r.packages(),
	}
	if deadline, ok := ctx.Deadline(); ok {
		request.Seconds = max(time.Until(deadline).Seconds(), time.Millisecond.Seconds())
	}
	for _, one := range in.args {
		request.Args = append(request.Args, one.file())
	}
	for name, one := range in.kwargs {
		request.Kwargs[name] = one.file()
	}
	return request
}

// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"context"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

// Exit codes of a shell that could not run a command.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
)

// runCommand runs a plain command.
func (r *run) runCommand(ctx context.Context, task *contract.PlanTask, files taskFiles, streams *streams) outcome {
	in, bad := r.resolve(ctx, task)
	if bad != nil {
		return *bad
	}
	kills := r.Memory.Kills()
	command, err := r.Reaper.Start(process.Spec{
		Argv:  task.Command,
		Env:   withVariables(r.Env, r.commandVariables(task, in, files)),
		Dir:   cmp.Or(r.CommandDir, files.scratch),
		Files: []*os.File{nil, streams.stdout.Writer(), streams.stderr.Writer()},
	})
	if err != nil {
		streams.writeError(err.Error())
		return startFailure(err)
	}
	streams.release()
	cause := r.await(ctx, command)
	exit := command.Exit()
	switch {
	case cause != nil:
		return stopped(cause, exit)
	case exit.Success():
		return commandOutput(exit, files.output)
	case r.outOfMemory(exit, kills):
		return r.oomKilled(exit)
	}
	return failed(contract.ReasonExitCode, "%s", ending(exit)).after(exit)
}

// startFailure is the outcome of a command that could not be started, with the exit code
// of a shell.
func startFailure(err error) outcome {
	bad := failed(contract.ReasonExitCode, "%s", err)
	switch {
	case errors.Is(err, process.ErrNotFound):
		return bad.after(process.Exit{Code: codeNotFound})
	case errors.Is(err, process.ErrNotExecutable):
		return bad.after(process.Exit{Code: codeNotExecutable})
	}
	return bad
}

// commandOutput takes the file that a command may have left.
func commandOutput(exit process.Exit, path string) outcome {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return completed(exit, "")
	case err != nil:
		return failed(contract.ReasonOutputInvalid, "what the command left at $TASKGROUP_OUTPUT cannot be read: %s", err).after(exit)
	case !info.Mode().IsRegular():
		return failed(contract.ReasonOutputInvalid, "what the command left at $TASKGROUP_OUTPUT is not a regular file").after(exit)
	}
	return completed(exit, path)
}

// variables returns the environment variables of every task.
func (r *run) variables(node contract.NodeID, files taskFiles) map[string]string {
	set := map[string]string{
		"TASKGROUP_DIR":     files.scratch,
		"TASKGROUP_NODE_ID": node.String(),
		"TASKGROUP_ATTEMPT": strconv.Itoa(int(r.Plan.Attempt)),
	}
	if r.Plan.DispatchID != "" {
		// Without COVALENT_DISPATCHER_URL beside it, a sublattice is returned
		// rather than registered from here (covalent/_workflow/electron.py).
		set["COVALENT_DISPATCH_ID"] = r.Plan.DispatchID
	}
	return set
}

// legalName matches an upper-case name of an environment variable that cannot be
// mistaken for the number of a node.
var legalName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// commandVariables adds the files that a command reads and may write.
func (r *run) commandVariables(task *contract.PlanTask, in *inputs, files taskFiles) map[string]string {
	set := r.variables(task.NodeID, files)
	set["TASKGROUP_OUTPUT"] = files.output
	for i, node := range task.Args {
		set[inputVariable(node)] = in.args[i].path
	}
	for name, node := range task.Kwargs {
		set[inputVariable(node)] = in.kwargs[name].path
		if upper := strings.ToUpper(name); legalName.MatchString(upper) {
			set["TASKGROUP_INPUT_"+upper] = in.kwargs[name].path
		}
	}
	return set
}

func inputVariable(node contract.NodeID) string {
	return "TASKGROUP_INPUT_" + node.String()
}

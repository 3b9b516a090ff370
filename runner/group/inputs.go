// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// input is an object that a task reads.
type input struct {
	// path is a file of this machine.
	path string
	// name identifies it in messages: its URI if it has one.
	name string
	// role is what it is for the task, such as "the function".
	role string
	// command is set if a plain command wrote it.
	command bool
}

func (i input) file() python.File { return python.File{Path: i.path, Name: i.name} }

// inputs is everything that a task reads.
type inputs struct {
	function, hooks input
	args            []input
	kwargs          map[string]input
}

// resolve waits until all that a task reads is here. Its second result is nil
// unless the task cannot run.
func (r *run) resolve(ctx context.Context, task *contract.PlanTask) (*inputs, *outcome) {
	in := &inputs{kwargs: make(map[string]input, len(task.Kwargs))}
	var err error
	if task.Function != "" {
		in.function, err = r.asset(ctx, task.Function, "the function")
	}
	if err == nil && task.Hooks != "" {
		in.hooks, err = r.asset(ctx, task.Hooks, "the hooks")
	}
	for _, node := range task.Args {
		if err == nil {
			var one input
			one, err = r.argument(ctx, node)
			in.args = append(in.args, one)
		}
	}
	for name, node := range task.Kwargs {
		if err == nil {
			in.kwargs[name], err = r.argument(ctx, node)
		}
	}
	switch {
	case err == nil:
		return in, nil
	case ctx.Err() != nil:
		return nil, new(unfinished(ctx, "its inputs were still being fetched"))
	}
	return nil, new(failed(contract.ReasonInputUnavailable, "%s", err).retried(retryOfFetch(err)))
}

func (r *run) asset(ctx context.Context, uri, role string) (input, error) {
	path, err := r.stage.Path(ctx, uri)
	return input{path: path, name: store.RedactURI(uri), role: role}, err
}

// argument finds the output of a node, of this group or from outside.
func (r *run) argument(ctx context.Context, node contract.NodeID) (input, error) {
	role := fmt.Sprintf("the output of node %d", node)
	if out, ok := r.outputs[node]; ok {
		return r.result(ctx, out, role)
	}
	uri, ok := r.Plan.Inputs[node]
	switch {
	case r.inGroup[node] && r.Plan.Parallel:
		return input{}, fmt.Errorf("%s: it is of this group, whose tasks run in parallel and cannot wait for each other", role)
	case r.inGroup[node]:
		return input{}, fmt.Errorf("%s: the task comes later in this group", role)
	case !ok || uri == "":
		return input{}, fmt.Errorf("%s: the group has no URI for it (spec.assets.inputs)", role)
	}
	return r.asset(ctx, uri, role)
}

// result is the output of a task of this group, from this attempt or an
// earlier one.
func (r *run) result(ctx context.Context, out output, role string) (input, error) {
	switch {
	case out.uri != "":
		in, err := r.asset(ctx, out.uri, role)
		in.command = out.command
		return in, err
	case out.path != "":
		return input{path: out.path, name: role, role: role, command: out.command}, nil
	}
	return input{}, fmt.Errorf("%s: the command left none: have it write a file to $TASKGROUP_OUTPUT", role)
}

// checkVersions compares the Python that pickled what a function reads with the
// image's, before anything is unpickled.
func (in *inputs) checkVersions(image string) *outcome {
	all := append([]input{in.function}, in.args...)
	for _, one := range in.kwargs {
		all = append(all, one)
	}
	for _, one := range all {
		if bad := one.checkVersion(image); bad != nil {
			return bad
		}
	}
	return nil
}

func (i input) checkVersion(image string) *outcome {
	header, err := readHeader(i.path)
	switch {
	case errors.Is(err, contract.ErrNotTransportable) && i.command:
		return new(failed(contract.ReasonInputInvalid,
			"%s is a plain command's file and not a Covalent TransportableObject: only a command can read it", i.role))
	case errors.Is(err, contract.ErrNotTransportable):
		return new(failed(contract.ReasonInputInvalid, "%s: %s", i.name, err))
	case err != nil:
		return new(failed(contract.ReasonInputUnavailable, "%s: %s", i.name, err))
	case minor(header.PythonVersion) == "":
		return new(failed(contract.ReasonInputInvalid, "%s: %s: the header has no Python version", i.name, contract.ErrNotTransportable))
	case minor(header.PythonVersion) != minor(image):
		return new(failed(contract.ReasonPythonVersionMismatch,
			"%[1]s was pickled with Python %[2]s, the image has %[3]s: use an image with Python %[2]s or dispatch from %[3]s",
			i.role, minor(header.PythonVersion), minor(image)))
	}
	return nil
}

func readHeader(path string) (*contract.TransportableHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return contract.ReadTransportableHeader(f)
}

// minor is major.minor of a version, or empty.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return ""
	}
	return parts[0] + "." + parts[1]
}

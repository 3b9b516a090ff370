// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// maxResult bounds a result that Run holds in memory, in bytes.
	maxResult = 1 << 30
	// maxWords bounds what Run's error quotes, in bytes.
	maxWords = 16 << 10
)

// Call is a function and its arguments, each the bytes of a TransportableObject
// (covalent/_workflow/transportable_object.py). Nothing here unpickles them.
type Call struct {
	Function []byte            `json:"function"`
	Args     [][]byte          `json:"args,omitempty"`
	Kwargs   map[string][]byte `json:"kwargs,omitempty"`
	// Hooks is JSON; none if empty.
	Hooks []byte `json:"hooks,omitempty"`
}

// Run runs one function and returns its result as the bytes of a
// TransportableObject (covalent/executor/base.py, run): it puts the objects below
// Options.Assets, then does Send, Poll and Receive. The whole result passes through
// memory; Send, Poll and Receive are for everything larger.
//
// A function that fails is ErrTaskFailed, with its error as text. If ctx ends,
// the group is not cancelled: calling Run again continues where it was.
func (e *Executor) Run(ctx context.Context, call Call, task contract.TaskMetadata) ([]byte, error) {
	group := runGroup(task)
	spec, resources, err := e.stage(call, task, group)
	if err != nil {
		return nil, err
	}
	handle, err := e.Send(ctx, []contract.TaskSpec{spec}, resources, group)
	if err != nil {
		return nil, err
	}
	outcome, err := e.Poll(ctx, handle)
	if err != nil {
		return nil, err
	}
	defer e.Forget(outcome.Handle)
	tg, err := e.loadFinished(ctx, outcome.Handle)
	if err != nil {
		return nil, err
	}
	updates, err := e.updates(ctx, tg, group)
	if err != nil {
		return nil, err
	}
	e.copyStreams(ctx, tg, group, updates)
	return e.resultOf(ctx, tg, updates[0])
}

// resultOf reads what a function returned.
func (e *Executor) resultOf(ctx context.Context, tg *v1alpha1.TaskGroup, update contract.TaskUpdate) ([]byte, error) {
	if update.Status.Status != contract.TaskCompleted {
		return nil, errorf(ErrTaskFailed, "%s", e.wordsOf(ctx, tg, update))
	}
	output, ok := update.Assets[contract.AssetOutput]
	if !ok {
		return nil, errorf(ErrManifestInvalid, "node %d completed without an output", update.NodeID)
	}
	if output.Size > maxResult {
		return nil, errorf(ErrManifestUnavailable, "reading the result %s: it has more than %d bytes", output.RemoteURI, maxResult)
	}
	result, err := results.ReadRecorded(ctx, e.results.Objects, tg.Spec.OutputsURI(), output)
	if errors.Is(err, results.ErrOtherBytes) {
		return nil, errorf(ErrManifestInvalid, "the result %s: %w", output.RemoteURI, err)
	}
	if err != nil {
		return nil, errorf(ErrManifestUnavailable, "reading the result %s: %w", output.RemoteURI, err)
	}
	return result, nil
}

// wordsOf is why a function failed: what the runner wrote, or what is in the status.
func (e *Executor) wordsOf(ctx context.Context, tg *v1alpha1.TaskGroup, update contract.TaskUpdate) string {
	words := errorText(tg, &tg.Status.Tasks[0], nil)
	if said := update.Assets[contract.AssetError]; store.Below(results.Location(tg), said.RemoteURI) == nil {
		if raw, err := results.Read(ctx, e.results.Objects, tg.Spec.OutputsURI(), said.RemoteURI, maxWords); err == nil {
			words = string(raw)
		}
	}
	return strings.TrimSpace(words)
}

// stage writes the objects of a call and describes the group that runs it. The
// arguments become nodes whose numbers the function's own does not have.
func (e *Executor) stage(call Call, task contract.TaskMetadata, group contract.TaskGroupMetadata) (contract.TaskSpec, contract.ResourceMap, error) {
	spec := contract.TaskSpec{ElectronID: task.NodeID, Kwargs: map[string]contract.NodeID{}}
	resources := contract.ResourceMap{Functions: map[contract.NodeID]string{}, Inputs: map[contract.NodeID]string{}, Hooks: map[contract.NodeID]string{}}
	dir, err := e.runDir(task)
	if err != nil {
		return spec, resources, err
	}
	put := func(key string, raw []byte) (string, error) {
		// The pod may read it already, where an earlier call was broken off.
		if err := results.WriteFile(filepath.Join(dir, key), raw, 0o644); err != nil {
			return "", errorf(ErrConfiguration, "writing the objects of a run: %w", err)
		}
		return e.UploadURI(group, key), nil
	}
	next := contract.NodeID(0)
	input := func(raw []byte) (contract.NodeID, error) {
		if next == task.NodeID {
			next++
		}
		node := next
		next++
		uri, err := put(fmt.Sprintf("node_%d", node), raw)
		resources.Inputs[node] = uri
		return node, err
	}
	if resources.Functions[task.NodeID], err = put("function-"+nodeKey(task.NodeID), call.Function); err != nil {
		return spec, resources, err
	}
	if len(call.Hooks) > 0 {
		if resources.Hooks[task.NodeID], err = put("hooks-"+nodeKey(task.NodeID), call.Hooks); err != nil {
			return spec, resources, err
		}
	}
	for _, raw := range call.Args {
		node, err := input(raw)
		if err != nil {
			return spec, resources, err
		}
		spec.Args = append(spec.Args, node)
	}
	for _, name := range slices.Sorted(maps.Keys(call.Kwargs)) {
		node, err := input(call.Kwargs[name])
		if err != nil {
			return spec, resources, err
		}
		spec.Kwargs[name] = node
	}
	return spec, resources, nil
}

// Execute is Setup, Run and Teardown (covalent/executor/base.py, execute).
func (e *Executor) Execute(ctx context.Context, call Call, task contract.TaskMetadata) (result []byte, err error) {
	if err := e.Setup(ctx, task); err != nil {
		return nil, err
	}
	result, err = e.Run(ctx, call, task)
	if ctx.Err() != nil {
		// The group may still read them.
		return nil, err
	}
	if downErr := e.Teardown(context.WithoutCancel(ctx), task); err == nil && downErr != nil {
		return nil, downErr
	}
	return result, err
}

// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/manifest"
)

// Receive reports how the nodes of group.NodeIDs finished, and their results
// (covalent/executor/base.py, receive): terminal states, and only assets that
// exist, since one that the dispatcher cannot fetch fails all nodes.
//
// Without an outcome, which is how a dispatcher calls after a cancellation, every
// node is CANCELLED and no request is sent. Otherwise the states are the TaskGroup's,
// and the sizes and digests those of the committed manifest, which is checked
// against the digest in the status. A pod that died without a word left no record:
// why it died then becomes an error as text, a file below CacheDir.
//
// An API server that does not answer for ten seconds is ErrUnavailable.
// ErrNotFinished is a node that has not finished. ErrManifestUnavailable is a
// completed group whose manifest cannot be read now, ErrManifestInvalid one whose
// manifest or output is not as it was recorded. Logs that cannot be written, and a
// cache folder that cannot, are reported to Config.Warn and fail no node.
func (e *Executor) Receive(ctx context.Context, group contract.TaskGroupMetadata, outcome *Outcome) ([]contract.TaskUpdate, error) {
	if outcome == nil {
		return CancelledUpdates(group), nil
	}
	handle := outcome.Handle
	if expected := e.Handle(group); handle.Name == "" || group.DispatchID != "" && handle.Name != expected.Name {
		// In push mode the body may be of any client.
		handle = expected
	}
	tg, err := e.loadFinished(ctx, handle)
	if isCancelled(err) {
		e.Forget(handle)
		return CancelledUpdates(group), nil
	}
	if err != nil {
		return nil, err
	}
	if !tg.Status.IsFinished() {
		return nil, errorf(ErrNotFinished, "TaskGroup %s has not ended", handle.Name)
	}
	updates, err := e.updates(ctx, tg, group)
	if err != nil {
		return nil, err
	}
	e.copyStreams(ctx, tg, group, updates)
	e.localise(tg, updates)
	e.Forget(handle)
	return updates, nil
}

func (e *Executor) updates(ctx context.Context, tg *v1alpha1.TaskGroup, group contract.TaskGroupMetadata) ([]contract.TaskUpdate, error) {
	statuses := make(map[contract.NodeID]*v1alpha1.TaskStatus, len(tg.Status.Tasks))
	for i := range tg.Status.Tasks {
		statuses[contract.NodeID(tg.Status.Tasks[i].NodeID)] = &tg.Status.Tasks[i]
	}
	records, failures := e.results.Records(ctx, tg, group.NodeIDs)
	updates := make([]contract.TaskUpdate, 0, len(group.NodeIDs))
	for _, node := range group.NodeIDs {
		status := statuses[node]
		if status == nil {
			return nil, errorf(ErrInvalid, "node %d is none of TaskGroup %s", node, tg.Name)
		}
		update, err := e.update(ctx, tg, status, records[node], manifestError(failures[node]))
		switch {
		case err == nil || len(group.NodeIDs) == 1:
		case errors.Is(err, ErrTaskFailed):
			// Its text would fail nodes that completed.
			e.results.Warn(err)
			err = nil
		case errors.Is(err, ErrManifestInvalid):
			// The results of the other nodes are valid.
			update, err = e.invalidUpdate(tg, node, err), nil
		}
		if err != nil {
			return nil, err
		}
		update.DispatchID = group.DispatchID
		updates = append(updates, update)
	}
	return updates, nil
}

// update is how one node finished. The record may be nil, with or without a reason
// why it could not be read.
func (e *Executor) update(ctx context.Context, tg *v1alpha1.TaskGroup, status *v1alpha1.TaskStatus, record *contract.TaskRecord, unread error) (contract.TaskUpdate, error) {
	node := contract.NodeID(status.NodeID)
	update := contract.TaskUpdate{NodeID: node, Status: contract.Status{Status: contract.TaskState(status.State)}}
	state := update.Status.Status
	completed := state == contract.TaskCompleted
	switch {
	case !state.IsTerminal():
		return update, errorf(ErrNotFinished, "node %d of TaskGroup %s is %s", node, tg.Name, state)
	case unread != nil && (completed || mayPass(unread)):
		return update, unread
	case completed && tg.Spec.OutputsURI() != "" && record == nil:
		return update, errorf(ErrManifestInvalid, "node %d of TaskGroup %s completed, and no manifest tells of it", node, tg.Name)
	}
	var err error
	update.Assets, err = e.assets(ctx, tg, node, state, record)
	if err != nil && completed {
		return update, err
	}
	if _, said := update.Assets[contract.AssetError]; state == contract.TaskFailed && !said {
		return update, e.addError(tg, &update, errorText(tg, status, cmp.Or(unread, err)))
	}
	return update, nil
}

// addError makes a text the error of a node. If no file can be written for it, the text
// itself is returned as ErrTaskFailed: a dispatcher shows the text of an error.
func (e *Executor) addError(tg *v1alpha1.TaskGroup, update *contract.TaskUpdate, text string) error {
	asset, err := e.results.WriteError(tg, update.NodeID, text)
	if err != nil {
		e.results.Warn(err)
		return errorf(ErrTaskFailed, "%s", strings.TrimSpace(text))
	}
	update.Assets[contract.AssetError] = asset
	return nil
}

// invalidUpdate is the update of a node whose results are not as they were recorded.
func (e *Executor) invalidUpdate(tg *v1alpha1.TaskGroup, node contract.NodeID, err error) contract.TaskUpdate {
	update := contract.TaskUpdate{NodeID: node, Status: contract.Status{Status: contract.TaskFailed}, Assets: map[contract.AssetKey]contract.AssetUpdate{}}
	if missing := e.addError(tg, &update, err.Error()); missing != nil {
		e.results.Warn(missing)
	}
	return update
}

// assets are the results of a node: from its record, or found where it has none.
func (e *Executor) assets(ctx context.Context, tg *v1alpha1.TaskGroup, node contract.NodeID, state contract.TaskState, record *contract.TaskRecord) (map[contract.AssetKey]contract.AssetUpdate, error) {
	if record == nil || record.State != state {
		return e.results.StrayStreams(ctx, tg, node), nil
	}
	updates, err := e.results.Assets(ctx, tg, record)
	if err != nil {
		return updates, errorf(ErrManifestInvalid, "%w", err)
	}
	return updates, nil
}

// manifestError returns the kind of an error of reading a manifest.
func manifestError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, manifest.ErrInvalid):
		return errorf(ErrManifestInvalid, "%w", err)
	}
	return errorf(ErrManifestUnavailable, "%w", err)
}

// mayPass reports whether a manifest that could not be read may be read later.
func mayPass(err error) bool {
	return errors.Is(err, ErrManifestUnavailable) && !results.IsMissing(err)
}

// copyStreams appends the streams of the nodes to log_stdout and log_stderr.
func (e *Executor) copyStreams(ctx context.Context, tg *v1alpha1.TaskGroup, group contract.TaskGroupMetadata, updates []contract.TaskUpdate) {
	logs := results.Logs{DispatchID: group.DispatchID, Stdout: e.options.LogStdout, Stderr: e.options.LogStderr}
	e.results.CopyStreams(ctx, tg, logs, updates)
}

// localise names assets as this machine finds them, where pods call them otherwise.
func (e *Executor) localise(tg *v1alpha1.TaskGroup, updates []contract.TaskUpdate) {
	for _, update := range updates {
		for key, asset := range update.Assets {
			if store.Below(results.Location(tg), asset.RemoteURI) == nil {
				asset.RemoteURI = e.files().LocalURI(asset.RemoteURI)
				update.Assets[key] = asset
			}
		}
	}
}

// CancelledUpdates are what Receive returns without an outcome. They take no
// executor: the cluster, or the kubeconfig, may be gone.
func CancelledUpdates(group contract.TaskGroupMetadata) []contract.TaskUpdate {
	updates := make([]contract.TaskUpdate, 0, len(group.NodeIDs))
	for _, node := range group.NodeIDs {
		updates = append(updates, contract.TaskUpdate{
			DispatchID: group.DispatchID, NodeID: node,
			Status: contract.Status{Status: contract.TaskCancelled},
			Assets: map[contract.AssetKey]contract.AssetUpdate{},
		})
	}
	return updates
}

// errorText is why a task failed, for the person who looks at its node.
func errorText(tg *v1alpha1.TaskGroup, status *v1alpha1.TaskStatus, unread error) string {
	reason := tg.Status.Reason()
	var text strings.Builder
	if status.Reason != "" && status.Message != "" {
		fmt.Fprintf(&text, "%s: %s\n", status.Reason, status.Message)
	} else {
		fmt.Fprintf(&text, "%s: %s\n", reason, tg.Status.Message())
	}
	if status.ExitCode != nil {
		fmt.Fprintf(&text, "exit code: %d\n", *status.ExitCode)
	}
	fmt.Fprintf(&text, "TaskGroup: %s/%s, attempt %d\n", tg.Namespace, tg.Name, tg.Status.Attempt)
	if tg.Status.NodeName != "" {
		fmt.Fprintf(&text, "Kubernetes node: %s\n", tg.Status.NodeName)
	}
	for _, job := range tg.Status.Jobs {
		if job.Attempt != tg.Status.Attempt && job.Reason != "" {
			fmt.Fprintf(&text, "attempt %d: %s: %s\n", job.Attempt, job.Reason, job.Message)
		}
	}
	if unread != nil {
		fmt.Fprintf(&text, "%s\n", unread)
	}
	return text.String()
}

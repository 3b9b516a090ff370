// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// Cancel requests the end of the group that the handle names
// (covalent/executor/base.py, cancel). It is true once spec.cancel is durable, and
// false where there is nothing left to cancel: a group that was never created, was
// deleted, or has finished. An API server that does not answer for ten seconds is
// false with ErrUnavailable, and an end of ctx before that false with its error: the
// intent may have arrived or not, and a repeated request is safe.
//
// A group that does not exist yet leaves nothing that could be marked: Cancel is
// false, and who sends the group at that moment has to look for the request by
// itself. Send does so with its Dispatcher, before and right after the create, so
// that a dispatcher that notes the request before it calls Cancel, as Covalent does
// (covalent_dispatcher/_core/dispatcher.py, cancel_dispatch), never misses it.
//
// A dispatcher calls it once for each node, all at once, also for nodes that ended
// and with no handle for those that never started. The handle is believed, not the
// node; without one the group is looked for: by the name that a group of this node
// alone has, then among the dispatch's groups.
func (e *Executor) Cancel(ctx context.Context, task contract.TaskMetadata, handle *Handle) (bool, error) {
	if handle != nil && handle.Name != "" {
		return e.cancelGroup(ctx, *handle, callPatience)
	}
	if task.DispatchID == "" {
		return false, errorf(ErrInvalid, "cancelling needs a handle or a dispatch_id")
	}
	found, err := e.groupOfNode(ctx, task)
	if err != nil || found == nil {
		return false, err
	}
	return e.cancelGroup(ctx, *found, callPatience)
}

func (e *Executor) cancelGroup(ctx context.Context, handle Handle, patience time.Duration) (bool, error) {
	if err := e.cluster.checkHandle(&handle); err != nil {
		return false, err
	}
	key := e.keyOf(handle)
	patch := cancelPatch{}
	patch.Metadata.UID = handle.UID
	patch.Spec.Cancel = true
	raw, err := json.Marshal(patch)
	if err != nil {
		return false, fmt.Errorf("encoding a patch: %w", err)
	}
	tg := &v1alpha1.TaskGroup{}
	tg.Namespace, tg.Name = key.Namespace, key.Name
	err = persist(ctx, patience, func(ctx context.Context) error {
		return e.cluster.client.Patch(ctx, tg, client.RawPatch(types.MergePatchType, raw))
	})
	if apierrors.IsNotFound(err) || (handle.UID != "" && apierrors.IsConflict(err)) {
		return false, nil
	}
	if err != nil {
		return false, explain(fmt.Sprintf("cancelling TaskGroup %s", key), err)
	}
	reason, ended := tg.Status.Reason(), tg.Status.IsFinished()
	return !ended || reason == v1alpha1.ReasonCancelled, nil
}

// cancelPatch is a merge patch; a UID in it is a precondition.
type cancelPatch struct {
	Metadata struct {
		UID types.UID `json:"uid,omitempty"`
	} `json:"metadata"`
	Spec struct {
		Cancel bool `json:"cancel"`
	} `json:"spec"`
}

// groupOfNode looks for the group that has a node; nil for none.
func (e *Executor) groupOfNode(ctx context.Context, task contract.TaskMetadata) (*Handle, error) {
	doing := fmt.Sprintf("looking for the group of node %d of dispatch %s", task.NodeID, task.DispatchID)
	// Covalent's groups have the number of their first node, and most have one node.
	handle := e.Handle(contract.TaskGroupMetadata{DispatchID: task.DispatchID, TaskGroupID: int64(task.NodeID)})
	tg := &v1alpha1.TaskGroup{}
	err := persist(ctx, callPatience, func(ctx context.Context) error { return e.cluster.client.Get(ctx, e.keyOf(handle), tg) })
	if err == nil && hasNode(tg, task.NodeID) {
		return &handle, nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, explain(doing, err)
	}
	groups, err := e.cluster.groupsOf(ctx, task.DispatchID)
	if err != nil {
		return nil, explain(doing, err)
	}
	for i := range groups {
		if hasNode(&groups[i], task.NodeID) {
			handle.Name, handle.UID = groups[i].Name, groups[i].UID
			return &handle, nil
		}
	}
	return nil, nil
}

func hasNode(tg *v1alpha1.TaskGroup, node contract.NodeID) bool {
	for i := range tg.Spec.Tasks {
		if tg.Spec.Tasks[i].NodeID == v1alpha1.NodeID(node) {
			return true
		}
	}
	return false
}

// keyOf is the TaskGroup that a handle names.
func (e *Executor) keyOf(handle Handle) client.ObjectKey {
	if handle.Namespace == "" {
		handle.Namespace = e.cluster.Namespace
	}
	return client.ObjectKey{Namespace: handle.Namespace, Name: handle.Name}
}

// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// defaultInfrastructureRetries is the API's default.
	defaultInfrastructureRetries = 3
	// extraAttempts are attempts beyond the retries, for example after a suspension.
	extraAttempts = 2
	// deletedPatience is how long a store is searched for the results of a deleted group.
	deletedPatience = 10 * time.Second
)

// FindCompleted returns the outcome of a group that was deleted after it had completed all
// tasks: its TTL can expire while the dispatcher cannot reach the cluster. It is false for
// every other deleted group, for Parallel groups, and if the handle has no UID. An executor
// without outputs has them in the asset gateway.
func (e *Executor) FindCompleted(ctx context.Context, handle Handle) (Outcome, bool) {
	if e.completedGroup(ctx, handle) == nil {
		return Outcome{}, false
	}
	return Outcome{Handle: handle, Reason: v1alpha1.ReasonCompleted}, true
}

// loadFinished returns a group that finished: as the watch kept it, as the API server has
// it, or if it was deleted, as its manifest describes it.
func (e *Executor) loadFinished(ctx context.Context, handle Handle) (*v1alpha1.TaskGroup, error) {
	tg, err := e.load(ctx, handle)
	if isCancelled(err) {
		if found := e.completedGroup(ctx, handle); found != nil {
			return found, nil
		}
	}
	return tg, err
}

// completedGroup returns a deleted group as its manifest describes it, or nil.
func (e *Executor) completedGroup(ctx context.Context, handle Handle) *v1alpha1.TaskGroup {
	outputs := e.options.outputs()
	if outputs == "" && e.cluster.api != nil {
		outputs = contract.GatewayOutputs(e.cluster.Namespace)
	}
	if outputs == "" || handle.UID == "" || e.options.Execution == v1alpha1.Parallel {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deletedPatience)
	defer cancel()
	found, err := e.results.Completed(ctx, outputs, string(handle.UID), e.options.attempts())
	if err != nil {
		e.results.Warn(errorf(ErrManifestUnavailable, "TaskGroup %s was deleted: looking for its results: %w", handle.Name, err))
	}
	// In push mode, the UID may be that of a group of another dispatch.
	if found == nil || len(found.Tasks) == 0 || Name(found.DispatchID, found.TaskGroupID) != handle.Name {
		return nil
	}
	tg := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: e.keyOf(handle).Namespace, Name: handle.Name, UID: types.UID(found.UID)}}
	tg.Spec.DispatchID, tg.Spec.TaskGroupID = found.DispatchID, new(found.TaskGroupID)
	tg.Spec.Assets = &v1alpha1.Assets{Outputs: v1alpha1.AssetURI(outputs)}
	tg.Status.Attempt = found.Attempt
	tg.Status.Manifest = &v1alpha1.ManifestReference{URI: contract.ManifestURI(contract.AttemptURI(outputs, found.UID, found.Attempt))}
	reason := string(v1alpha1.ReasonCompleted)
	tg.Status.Conditions = []metav1.Condition{
		{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionTrue, Reason: reason},
		{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: reason},
	}
	for _, task := range found.Tasks {
		tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: v1alpha1.NodeID(task.NodeID), State: v1alpha1.TaskCompleted})
	}
	return tg
}

// attempts returns how many attempts a group may have had.
func (o *Options) attempts() int32 {
	infrastructure := int32(defaultInfrastructureRetries)
	if o.InfrastructureRetries != nil {
		infrastructure = *o.InfrastructureRetries
	}
	return 1 + o.Retries + infrastructure + extraAttempts
}

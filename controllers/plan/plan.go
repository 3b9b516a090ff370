// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Claim is what a plan asserts about the cluster and a cache alone cannot
// establish. A plan is carried out only after its claim was confirmed with the API
// server (package evidence).
type Claim int

const (
	// ClaimNothing needs no confirmation: the plan is derived from objects that
	// exist, and stays correct if the cache lags.
	ClaimNothing Claim = iota
	// ClaimNoJob states that the attempt never had a Job and that no pod of an
	// earlier attempt runs.
	ClaimNoJob
	// ClaimPods states that the pods of the group are as observed: none is missing,
	// and none has changed.
	ClaimPods
	// ClaimStopped states that nothing of a cancelled group runs or will run.
	ClaimStopped
)

// Plan is what to do, in this order: confirm the claim, create or delete an object,
// write the status, reconcile again later.
type Plan struct {
	// Claim is what has to be confirmed before anything else is done.
	Claim Claim
	// CreateJob requests the creation of the attempt's Job.
	CreateJob bool
	// DeleteJob is the Job to delete in the foreground; nil for none.
	DeleteJob *batchv1.Job
	// DeleteGroup requests the deletion of the TaskGroup, whose TTL has expired.
	DeleteGroup bool
	// Status is the complete status to write; nil leaves it unchanged.
	Status *v1alpha1.TaskGroupStatus
	// Progress is set if Status contains nothing but progress, which can be derived
	// from the Job and its pods at any time: it may be written later, or never.
	Progress bool
	// SwitchDelivery is set after a pod could not start the runner from an image
	// volume: later pods get an init container.
	SwitchDelivery bool
	// RequeueAfter is when to reconcile again without an event; 0 for never.
	RequeueAfter time.Duration
}

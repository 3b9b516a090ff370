// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// SettleTime is how long nothing must have been seen of a group before it is reported
// as Cancelled, unless its Job has created all of its pods: a Job controller that
// lags may still create a pod for a Job that was deleted, and another operator the
// Job. It is longer than another operator's cache lag and Lifetime together, as long
// as that lag is at most half a second.
const SettleTime = time.Second

// Verdict is whether a claim holds, and what the evidence shows otherwise.
type Verdict struct {
	// Holds reports that the plan may be carried out.
	Holds bool
	// FoundJob is the UID of a Job of the attempt that was not known; empty for none.
	FoundJob types.UID
	// Running reports that a pod of the group runs.
	Running bool
	// Stale reports that the observed pods are not the stored ones.
	Stale bool
}

// Judge decides whether a claim about what was observed holds. It is pure.
func Judge(claim plan.Claim, o *plan.Observed, e *Evidence) Verdict {
	switch claim {
	case plan.ClaimNoJob:
		return mayCreate(o, e)
	case plan.ClaimPods:
		return mayClose(o, e)
	case plan.ClaimStopped:
		return mayCancel(o, e)
	case plan.ClaimNothing:
	}
	return Verdict{Holds: true}
}

// mayCreate decides whether the attempt's Job may be created: it never had one (I1),
// and no pod of an earlier attempt runs (I2). A Job that existed was deleted by a
// user, which cancels the group.
func mayCreate(o *plan.Observed, e *Evidence) Verdict {
	switch {
	case e.JobUID != "":
		return Verdict{FoundJob: e.JobUID}
	case !e.Certain && !e.GroupUnchanged:
		return Verdict{}
	case o.Attempt == 1:
		return Verdict{Holds: true}
	case e.Pods == nil:
		return Verdict{}
	}
	running := anyRuns(e.Pods)
	return Verdict{Holds: !running, Running: running}
}

// mayClose decides whether an attempt may be closed because of pods that are missing
// or late (I39): each observed pod that has not terminated must be stored in the
// observed version, and no other pod may be.
func mayClose(o *plan.Observed, e *Evidence) Verdict {
	if e.Pods == nil {
		return Verdict{}
	}
	observed := make(map[types.UID]*corev1.Pod, len(o.Pods))
	for _, pod := range o.Pods {
		observed[pod.UID] = pod
	}
	for i := range e.Pods.Items {
		live := &e.Pods.Items[i]
		known := observed[live.UID]
		if known == nil || (known.ResourceVersion != live.ResourceVersion && !plan.PodEnded(known)) {
			return Verdict{Stale: true}
		}
		delete(observed, live.UID)
	}
	for _, pod := range observed {
		if !plan.PodEnded(pod) {
			return Verdict{Stale: true}
		}
	}
	return Verdict{Holds: true}
}

// mayCancel decides whether a group may be reported as Cancelled (I5).
func mayCancel(o *plan.Observed, e *Evidence) Verdict {
	settled := e.QuietFor >= SettleTime
	if o.JobUID == "" {
		return Verdict{Holds: settled && e.JobUID == "", FoundJob: e.JobUID}
	}
	if e.Pods == nil {
		return Verdict{}
	}
	if anyRuns(e.Pods) {
		return Verdict{Running: true}
	}
	return Verdict{Holds: settled || o.JobMadeItsPods()}
}

func anyRuns(pods *corev1.PodList) bool {
	for i := range pods.Items {
		if !plan.PodEnded(&pods.Items[i]) {
			return true
		}
	}
	return false
}

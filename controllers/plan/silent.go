package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// silenceGrace is how long after its grace period a pod may take to go before its
// node is called silent: a kubelet kills, tells so, and deletes.
const silenceGrace = 10 * time.Second

// withSilence makes a plan say that the group waits for a node which does not
// answer: such a pod may still run, so nothing follows it, for as long as it takes
// somebody to find out (invariant I20). It is a read of what was decided, and
// changes no decision.
func withSilence(o *Observed, p Plan, now time.Time) Plan {
	pod := silentPod(o)
	if pod == nil || p.CreateJob || (p.Status != nil && p.Status.IsFinished()) || o.TaskGroup.Status.IsFinished() {
		return p
	}
	if wait := pod.DeletionTimestamp.Add(silenceGrace).Sub(now); wait > 0 {
		if p.RequeueAfter == 0 || wait < p.RequeueAfter {
			p.RequeueAfter = wait
		}
		return p
	}
	if p.Status == nil {
		p.Status = o.TaskGroup.Status.DeepCopy()
	}
	underWay(p.Status, p.Status.Reason(), fmt.Sprintf(
		"Pod %s should have ended by %s and node %s does not say that it has: see kubectl describe node %s; a machine that is gone for good is given up with kubectl delete node",
		pod.Name, pod.DeletionTimestamp.UTC().Format(time.TimeOnly+" MST"), pod.Spec.NodeName, pod.Spec.NodeName), now)
	return p
}

// silentPod is the one that has been ending for longest of those that are on a
// node; nil for none.
func silentPod(o *Observed) *corev1.Pod {
	var first *corev1.Pod
	for _, pod := range o.Pods {
		if PodEnded(pod) || pod.DeletionTimestamp == nil || pod.Spec.NodeName == "" {
			continue
		}
		if first == nil || pod.DeletionTimestamp.Before(first.DeletionTimestamp) ||
			(pod.DeletionTimestamp.Equal(first.DeletionTimestamp) && pod.Name < first.Name) {
			first = pod
		}
	}
	return first
}

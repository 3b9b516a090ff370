// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// silenceGrace is how long a pod may exist after its grace period before the
// message reports it: a kubelet kills the containers, reports that, and deletes the
// pod.
const silenceGrace = 10 * time.Second

// withSilence adds to a plan that the group waits for a pod that should have
// terminated: its node does not respond, or nothing deleted it. Such a pod may
// still run, so nothing else happens until it terminates or its node is deleted
// (invariant I20). It changes the message only.
func withSilence(o *Observed, p Plan, now time.Time) Plan {
	if p.CreateJob || (p.Status != nil && p.Status.IsFinished()) || o.TaskGroup.Status.IsFinished() || o.TaskGroup.DeletionTimestamp != nil {
		return p
	}
	due, message := silence(o)
	if message == "" {
		return p
	}
	if wait := due.Sub(now); wait > 0 {
		p.RequeueAfter = sooner(p.RequeueAfter, wait)
		return p
	}
	if p.Status == nil {
		p.Status = o.TaskGroup.Status.DeepCopy()
	}
	unfinished(p.Status, p.Status.Reason(), message, now)
	return p
}

// silence returns what to report about a pod that should have terminated, and when
// to report it; empty for none.
func silence(o *Observed) (due time.Time, message string) {
	if pod := silentPod(o); pod != nil {
		return pod.DeletionTimestamp.Add(silenceGrace), fmt.Sprintf(
			"Pod %s was due to terminate at %s but node %s is not responding. If the node is lost for good, delete it: kubectl delete node %s",
			pod.Name, pod.DeletionTimestamp.UTC().Format(time.TimeOnly+" MST"), pod.Spec.NodeName, pod.Spec.NodeName)
	}
	job := o.Job
	if job == nil {
		job = o.Previous
	}
	if job == nil || job.DeletionTimestamp == nil || !belongsTo(job, o.TaskGroup, job.UID) {
		return time.Time{}, ""
	}
	var newest *corev1.Pod
	for _, pod := range o.podsOf(job.UID) {
		if !PodEnded(pod) && pod.DeletionTimestamp == nil && (newest == nil || isNewer(pod, newest)) {
			newest = pod
		}
	}
	if newest == nil {
		return time.Time{}, ""
	}
	return job.DeletionTimestamp.Add(silenceGrace), fmt.Sprintf(
		"Job %s was deleted at %s but its pod %s has not received SIGTERM: the garbage collector of the cluster does not delete it. See the logs of kube-controller-manager and kubectl get apiservices",
		job.Name, job.DeletionTimestamp.UTC().Format(time.TimeOnly+" MST"), newest.Name)
}

// silentPod is the pod on a node that was due to terminate first; nil for none.
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

// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package kueue

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// preemptions is how often a group is preempted. It has no budget for any retry.
const preemptions = 2

// TestPreemption preempts a group by groups of higher priority. Each time it releases its
// quota, spends no retry, and resumes at its first unfinished task.
func TestPreemption(t *testing.T) {
	for name, execution := range map[string]v1alpha1.Execution{"packed": v1alpha1.Sequential, "parallel": v1alpha1.Parallel} {
		t.Run(name, func(t *testing.T) { testPreemption(t, name, execution) })
	}
}

func testPreemption(t *testing.T, name string, execution v1alpha1.Execution) {
	file, gate := func(task int) string { return fmt.Sprintf("%s-%d", name, task) }, name+"-gate"
	tg := queued("scarce", name, "10m", appends(file(0)), gated(file(1), gate), gated(file(2), gate))
	tg.Labels[v1alpha1.QueuePriorityLabel] = "low"
	// The last file that is written before the gate.
	last := file(1)
	if tg.Spec.Execution = execution; execution == v1alpha1.Parallel {
		// With two pods, the third task starts when the first one has completed.
		tg.Spec.Parallelism = new(int32(2))
		last = file(2)
	}
	key := create(t, tg)
	for i := range preemptions {
		awaitLines(t, last, i+1)
		preempt(t, key, fmt.Sprintf("%s-%d", name, i))
	}
	awaitLines(t, last, preemptions+1)
	open(t, gate)

	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if got := lines(t, file(0)); got != 1 {
		t.Errorf("the completed task ran %d times", got)
	}
	if got := int(tg.Status.Attempt); got != preemptions+1 {
		t.Errorf("it took %d attempts, want %d", got, preemptions+1)
	}
	if tg.Status.Retries != nil {
		t.Errorf("it spent retries: %+v", tg.Status.Retries)
	}
	for _, job := range tg.Status.Jobs[:len(tg.Status.Jobs)-1] {
		if job.Reason != v1alpha1.ReasonPreempted || !strings.Contains(job.Message, "queue scarce") {
			t.Errorf("attempt %d ended as %s: %s", job.Attempt, job.Reason, job.Message)
		}
	}
	if peak := pods.peak("scarce"); peak != 20 {
		t.Errorf("the pods requested up to %d m of CPU, the quota is 20 m", peak)
	}
	awaitFree(t, "scarce")
}

// preempt runs a group of higher priority that needs the whole quota, to its end.
func preempt(t *testing.T, victim client.ObjectKey, name string) {
	t.Helper()
	high := queued("scarce", "over-"+name, "20m", gated("over-"+name, "over-"+name+"-gate"))
	high.Labels[v1alpha1.QueuePriorityLabel] = "high"
	key := create(t, high)
	awaitLines(t, "over-"+name, 1)
	awaitQueued(t, victim)
	open(t, "over-"+name+"-gate")
	awaitReason(t, key, v1alpha1.ReasonCompleted)
}

// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Now is a minute after Created.
var Now = Created.Add(time.Minute)

// After returns the time that is d after Created.
func After(d time.Duration) *metav1.Time { return &metav1.Time{Time: Created.Add(d)} }

// Sample returns a new group of n commands without a status.
func Sample(name string, n int) *v1alpha1.TaskGroup {
	tg := TaskGroup(name).Commands(n).Sequential().Obj()
	tg.ResourceVersion, tg.Spec.Retries = "", nil
	for i := range tg.Spec.Tasks {
		tg.Spec.Tasks[i].Command = []string{"python3", "-c", "print('hello')"}
	}
	return tg
}

// At sets the conditions of a group to a reason.
func At(tg *v1alpha1.TaskGroup, reason v1alpha1.Reason, message string) *v1alpha1.TaskGroup {
	succeeded, finished := metav1.ConditionUnknown, metav1.ConditionFalse
	if tg.Status.CompletionTime != nil {
		succeeded, finished = metav1.ConditionFalse, metav1.ConditionTrue
		if reason == v1alpha1.ReasonCompleted {
			succeeded = metav1.ConditionTrue
		}
	}
	tg.Status.Conditions = []metav1.Condition{
		{Type: string(v1alpha1.ConditionSucceeded), Status: succeeded, Reason: string(reason), Message: message, LastTransitionTime: *After(2 * time.Second)},
		{Type: string(v1alpha1.ConditionFinished), Status: finished, Reason: string(reason), Message: message, LastTransitionTime: *After(2 * time.Second)},
	}
	return tg
}

// states sets the state of each task.
func states(tg *v1alpha1.TaskGroup, summary string, states ...v1alpha1.TaskState) {
	tg.Status.Summary = summary
	tg.Status.Attempt = max(tg.Status.Attempt, 1)
	for i, state := range states {
		tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: tg.Spec.Tasks[i].NodeID, State: state})
	}
}

// RunningSample returns a group with two running tasks.
func RunningSample(name string) *v1alpha1.TaskGroup {
	tg := Sample(name, 2)
	states(tg, "0/2", v1alpha1.TaskRunning, v1alpha1.TaskRunning)
	tg.Status.StartTime, tg.Status.NodeName = After(3*time.Second), "node-1"
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1}}
	return At(tg, v1alpha1.ReasonRunning, "Pod "+name+"-1 runs on node node-1")
}

// CompletedSample returns a group with two completed tasks and a location for outputs.
func CompletedSample(name string) *v1alpha1.TaskGroup {
	tg := Sample(name, 2)
	tg.Spec.Assets = &v1alpha1.Assets{Outputs: "file:///results"}
	states(tg, "2/2", v1alpha1.TaskCompleted, v1alpha1.TaskCompleted)
	tg.Status.StartTime, tg.Status.CompletionTime, tg.Status.NodeName = After(3*time.Second), After(9*time.Second), "node-1"
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1, Reason: "Completed", CompletionTime: After(9 * time.Second)}}
	return At(tg, v1alpha1.ReasonCompleted, "All 2 tasks completed")
}

// OOMKilledSample returns a group that was OOM-killed in both of its attempts.
func OOMKilledSample(name string) *v1alpha1.TaskGroup {
	const message = "Task 1: OOM-killed: raise spec.pod.resources.limits.memory"
	tg := Sample(name, 3)
	tg.Spec.DispatchID = "6f1c2a52-8f0c-4d8e-9b52-0d5a3a1f7c11"
	tg.Spec.Retries = &v1alpha1.Retries{Limit: 1, OOMMemoryFactor: "1.5"}
	tg.Spec.Pod = &v1alpha1.PodOptions{Resources: &v1alpha1.Resources{Limits: v1alpha1.Amounts{corev1.ResourceMemory: {Text: "96Mi"}}}}
	tg.Status.Attempt = 2
	states(tg, "1/3", v1alpha1.TaskCompleted, v1alpha1.TaskFailed, v1alpha1.TaskCancelled)
	tg.Status.Tasks[1].Reason, tg.Status.Tasks[1].Message, tg.Status.Tasks[1].ExitCode = "OOMKilled", message, new(int32(137))
	tg.Status.StartTime, tg.Status.CompletionTime, tg.Status.NodeName = After(3*time.Second), After(20*time.Second), "node-1"
	tg.Status.Retries = &v1alpha1.RetryCounts{User: 1, OOM: 1}
	for i, end := range []time.Duration{9 * time.Second, 20 * time.Second} {
		tg.Status.Jobs = append(tg.Status.Jobs, v1alpha1.JobReference{
			Name: name + "-job-" + string(rune('1'+i)), UID: "job", Attempt: int32(i + 1), Reason: "OOMKilled", Message: message, CompletionTime: After(end),
		})
	}
	return At(tg, v1alpha1.ReasonOOMKilled, message)
}

// CancelledSample returns a group that was cancelled while it ran.
func CancelledSample(name string) *v1alpha1.TaskGroup {
	tg := Sample(name, 1)
	tg.Spec.Cancel = true
	states(tg, "0/1", v1alpha1.TaskCancelled)
	tg.Status.StartTime, tg.Status.CompletionTime, tg.Status.NodeName = After(3*time.Second), After(30*time.Second), "node-1"
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1, Reason: "Cancelled", CompletionTime: After(30 * time.Second)}}
	return At(tg, v1alpha1.ReasonCancelled, "spec.cancel was set")
}

// QueuedSample returns a group that waits for a node.
func QueuedSample(name string) *v1alpha1.TaskGroup {
	tg := Sample(name, 1)
	states(tg, "0/1", v1alpha1.TaskPending)
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1}}
	return At(tg, v1alpha1.ReasonQueued, "Pod "+name+"-1 is not scheduled: Unschedulable: 0/1 nodes are available")
}

// Samples returns one group for each stage of the lifecycle.
func Samples() []*v1alpha1.TaskGroup {
	return []*v1alpha1.TaskGroup{
		CancelledSample("cancelled"), CompletedSample("commands"), RunningSample("demo-run"), Sample("new", 1), QueuedSample("needs-ssd"), OOMKilledSample("too-much-memory"),
	}
}

package sample

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Namespace is where all samples are.
const Namespace = "team-a"

// Created is when all samples were created, Now a minute after.
var (
	Created = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	Now     = Created.Add(time.Minute)
)

// After is a time after Created.
func After(d time.Duration) *metav1.Time { return &metav1.Time{Time: Created.Add(d)} }

// New is a group of n commands that nobody has seen yet.
func New(name string, n int) *v1alpha1.TaskGroup {
	tg := &v1alpha1.TaskGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: Namespace, UID: types.UID("uid-of-" + name), Generation: 1,
			CreationTimestamp: metav1.Time{Time: Created},
		},
		Spec: v1alpha1.TaskGroupSpec{Execution: v1alpha1.Sequential},
	}
	for i := range n {
		tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{
			NodeID: v1alpha1.NodeID(i), Command: []string{"python3", "-c", "print('hello')"},
		})
	}
	return tg
}

// At puts a group into a reason.
func At(tg *v1alpha1.TaskGroup, reason v1alpha1.Reason, message string) *v1alpha1.TaskGroup {
	succeeded, finished := metav1.ConditionUnknown, metav1.ConditionFalse
	if tg.Status.CompletionTime != nil {
		succeeded, finished = metav1.ConditionFalse, metav1.ConditionTrue
		if reason == v1alpha1.ReasonCompleted {
			succeeded = metav1.ConditionTrue
		}
	}
	tg.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionSucceeded, Status: succeeded, Reason: string(reason), Message: message, LastTransitionTime: *After(2 * time.Second)},
		{Type: v1alpha1.ConditionFinished, Status: finished, Reason: string(reason), Message: message, LastTransitionTime: *After(2 * time.Second)},
	}
	return tg
}

// states sets those of all tasks.
func states(tg *v1alpha1.TaskGroup, summary string, states ...v1alpha1.TaskState) {
	tg.Status.Summary = summary
	tg.Status.Attempt = max(tg.Status.Attempt, 1)
	for i, state := range states {
		tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: tg.Spec.Tasks[i].NodeID, State: state})
	}
}

// Running has two tasks, in a pod on a node.
func Running(name string) *v1alpha1.TaskGroup {
	tg := New(name, 2)
	states(tg, "0/2", v1alpha1.TaskRunning, v1alpha1.TaskRunning)
	tg.Status.StartTime, tg.Status.NodeName = After(3*time.Second), "node-1"
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1}}
	return At(tg, v1alpha1.ReasonRunning, "Pod "+name+"-1 runs on node node-1")
}

// Completed has two tasks and left a manifest.
func Completed(name string) *v1alpha1.TaskGroup {
	tg := New(name, 2)
	tg.Spec.Assets = &v1alpha1.Assets{Outputs: "file:///results"}
	states(tg, "2/2", v1alpha1.TaskCompleted, v1alpha1.TaskCompleted)
	tg.Status.StartTime, tg.Status.CompletionTime, tg.Status.NodeName = After(3*time.Second), After(9*time.Second), "node-1"
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1, Reason: "Completed", CompletionTime: After(9 * time.Second)}}
	return At(tg, v1alpha1.ReasonCompleted, "All 2 tasks completed")
}

// OutOfMemory failed twice for want of memory, with more the second time.
func OutOfMemory(name string) *v1alpha1.TaskGroup {
	const message = "Task 1: killed by the kernel for want of memory: raise spec.pod.resources.limits.memory"
	tg := New(name, 3)
	tg.Spec.DispatchID = "6f1c2a52-8f0c-4d8e-9b52-0d5a3a1f7c11"
	tg.Spec.Retries = &v1alpha1.Retries{Limit: 1, OOMMemoryFactor: "1.5"}
	tg.Spec.Pod = &v1alpha1.PodOptions{Resources: &v1alpha1.Resources{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("96Mi")}}}
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

// Cancelled was cancelled while it ran.
func Cancelled(name string) *v1alpha1.TaskGroup {
	tg := New(name, 1)
	tg.Spec.Cancel = true
	states(tg, "0/1", v1alpha1.TaskCancelled)
	tg.Status.StartTime, tg.Status.CompletionTime, tg.Status.NodeName = After(3*time.Second), After(30*time.Second), "node-1"
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1, Reason: "Cancelled", CompletionTime: After(30 * time.Second)}}
	return At(tg, v1alpha1.ReasonCancelled, "spec.cancel was set")
}

// Queued waits for a node, under a name in another script.
func Queued(name string) *v1alpha1.TaskGroup {
	tg := New(name, 1)
	states(tg, "0/1", v1alpha1.TaskPending)
	tg.Status.Jobs = []v1alpha1.JobReference{{Name: name + "-job-1", UID: "job", Attempt: 1}}
	return At(tg, v1alpha1.ReasonQueued, "Pod "+name+"-1 is not placed on a node: Unschedulable: 0/1 nodes are available")
}

// All is one of each.
func All() []*v1alpha1.TaskGroup {
	return []*v1alpha1.TaskGroup{
		Cancelled("cancelled"), Completed("commands"), Running("demo-run"), New("new", 1), Queued("needs-ssd"), OutOfMemory("too-much-memory"),
	}
}

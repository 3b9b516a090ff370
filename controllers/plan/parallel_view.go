// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// taskView is a task as its pod and the status report it.
type taskView struct {
	status v1alpha1.TaskStatus
	// pod is the task's pod in this attempt; nil for none.
	pod *corev1.Pod
	// verdict is the result of the task in this attempt; nil if it has none yet, or
	// was settled before.
	verdict *verdict
}

// parallelView is all tasks of a group in one attempt.
type parallelView struct {
	tasks []taskView
	// open counts the tasks without a result.
	open int
}

// view returns the state of every task. The caller may change it.
func (p parallel) view(o *Observed) *parallelView {
	known := o.views[o.Attempt]
	if known == nil {
		known = p.derive(o)
	}
	if o.views != nil {
		o.views[o.Attempt] = known
	}
	return &parallelView{tasks: slices.Clone(known.tasks), open: known.open}
}

// derive derives the state of every task. A result in the status is kept if the pod
// was deleted since.
func (p parallel) derive(o *Observed) *parallelView {
	pods := taskPods(o)
	view := &parallelView{}
	for i, task := range p.tasks(o, v1alpha1.TaskPending) {
		t := taskView{status: task, pod: pods[i]}
		switch {
		case isSettled(&task, o.Attempt):
			t.pod = nil
		case t.pod != nil && tasksTerminated(t.pod):
			v := taskVerdict(o, i, t.pod)
			t.verdict = &v
			t.status = taskOfVerdict(&task, o.Attempt, v)
			if known := recordedStatus(o, i); known != nil && v.unspent && known.Reason != v.reason {
				// The queue suspended the Job after the task had failed.
				t.status, t.verdict = *known, recordedTask(known)
			}
		case recordedStatus(o, i) != nil:
			t.status = *recordedStatus(o, i)
			t.verdict = unseenTask(o, &t.status)
		default:
			view.open++
			if t.pod != nil && t.pod.Status.Phase == corev1.PodRunning {
				t.status.State = v1alpha1.TaskRunning
			}
		}
		view.tasks = append(view.tasks, t)
	}
	return view
}

// preempted reports whether a queue stopped a task of the attempt. The tasks of the
// suspended Job that have had no pod run in the next attempt, with those that were
// stopped: the Job controller may count the pods that it deleted as failures.
func (v *parallelView) preempted() bool {
	return slices.ContainsFunc(v.tasks, func(t taskView) bool {
		return t.verdict != nil && t.verdict.unspent && t.verdict.reason == v1alpha1.ReasonPreempted
	})
}

// recordedStatus is the result of a task in the status; nil if it has none.
func recordedStatus(o *Observed, i int) *v1alpha1.TaskStatus {
	if i >= len(o.TaskGroup.Status.Tasks) || !o.TaskGroup.Status.Tasks[i].State.IsTerminal() {
		return nil
	}
	return &o.TaskGroup.Status.Tasks[i]
}

// statuses are the tasks for the status.
func (v *parallelView) statuses() []v1alpha1.TaskStatus {
	tasks := make([]v1alpha1.TaskStatus, len(v.tasks))
	for i := range v.tasks {
		tasks[i] = v.tasks[i].status
	}
	boundDetails(tasks)
	return tasks
}

// tasksTerminated reports whether the tasks of a pod have terminated, even if other
// containers keep the pod running.
func tasksTerminated(pod *corev1.Pod) bool { return PodEnded(pod) || tasksState(pod) != nil }

// taskVerdict is the result of a pod, which must have run the task of its index: an
// overridden JOB_COMPLETION_INDEX lets it run another one.
func taskVerdict(o *Observed, i int, pod *corev1.Pod) verdict {
	v := podVerdict(o, pod)
	node := o.TaskGroup.Spec.Tasks[i].NodeID
	if v.record != nil && v.record.Node != nil && v1alpha1.NodeID(*v.record.Node) != node {
		return verdict{reason: v1alpha1.ReasonPlanInvalid, message: fmt.Sprintf(
			"Pod %s ran task %d in place of task %s: JOB_COMPLETION_INDEX was overridden", pod.Name, *v.record.Node, node)}
	}
	return v
}

// recordedTask is the verdict about a task whose pod was deleted after its result
// was recorded.
func recordedTask(task *v1alpha1.TaskStatus) *verdict {
	if task.State == v1alpha1.TaskCompleted {
		return &verdict{succeeded: true, reason: v1alpha1.ReasonCompleted}
	}
	message := task.Message
	if message == "" {
		message = fmt.Sprintf("Task %s failed", task.NodeID)
	}
	return &verdict{reason: task.Reason, message: message, permanent: task.Permanent}
}

// taskOfVerdict is the status of a task whose pod has terminated.
func taskOfVerdict(task *v1alpha1.TaskStatus, attempt int32, v verdict) v1alpha1.TaskStatus {
	result := v1alpha1.TaskStatus{NodeID: task.NodeID, State: v1alpha1.TaskCompleted, Attempt: attempt}
	if v.record != nil {
		result.Digest = shortDigest(v.record.ManifestSHA256)
	}
	if v.succeeded {
		return result
	}
	result.State, result.Reason, result.Retries, result.Permanent = v1alpha1.TaskFailed, v.reason, task.Retries, v.permanent
	result.Message = contract.Truncate(oneLine(v.message), maxParallelMessage)
	if v.record != nil {
		if v.record.States[0] == contract.TaskCancelled {
			result.State = v1alpha1.TaskCancelled
		}
		if f := v.record.Failure; f != nil {
			result.ExitCode = f.ExitCode
		}
	}
	return result
}

// unseenTask is recordedTask for a task of the attempt. If a queue stopped the task,
// its retry spends no budget, as if its pod still existed.
func unseenTask(o *Observed, task *v1alpha1.TaskStatus) *verdict {
	v := recordedTask(task)
	v.unspent = v.reason == v1alpha1.ReasonPreempted && jobIsHeld(o.Job)
	return v
}

const (
	// maxDetailed is how many failed tasks of a Parallel group have a message.
	maxDetailed = 8
	// maxParallelMessage bounds each of these messages, in bytes.
	maxParallelMessage = 128
)

// boundDetails bounds the status of 256 failed tasks to 32 KiB: the first failures
// have a message, the others only a reason. The manifest of each task has all of it.
func boundDetails(tasks []v1alpha1.TaskStatus) {
	detailed := 0
	for i := range tasks {
		if tasks[i].Message == "" && tasks[i].ExitCode == nil {
			continue
		}
		if detailed++; detailed > maxDetailed {
			tasks[i].Message, tasks[i].ExitCode = "", nil
		}
	}
}

// shortDigest is a SHA-256 as 43 characters instead of 64, because a status may
// contain 256 of them; empty for none.
func shortDigest(sha256 string) string {
	raw, err := hex.DecodeString(sha256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// taskPods are the attempt's pods by the position of their task.
func taskPods(o *Observed) map[int]*corev1.Pod {
	pods := map[int]*corev1.Pod{}
	for _, pod := range o.podsOf(o.attemptJobUID()) {
		i, ok := taskOfPod(o, pod)
		if !ok {
			continue
		}
		if known := pods[i]; known == nil || isNewer(pod, known) {
			pods[i] = pod
		}
	}
	return pods
}

// taskOfPod is the position in spec.tasks of the task that a pod runs.
func taskOfPod(o *Observed, pod *corev1.Pod) (int, bool) {
	index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || index < 0 {
		return 0, false
	}
	nodes := pod.Annotations[v1alpha1.NodesAnnotation]
	if nodes == "" {
		return index, index < len(o.TaskGroup.Spec.Tasks)
	}
	ids := strings.Split(nodes, ",")
	if index >= len(ids) {
		return 0, false
	}
	for i := range o.TaskGroup.Spec.Tasks {
		if o.TaskGroup.Spec.Tasks[i].NodeID.String() == ids[index] {
			return i, true
		}
	}
	return 0, false
}

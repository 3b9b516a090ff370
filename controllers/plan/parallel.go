package plan

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// A Parallel group has a pod for each task. Each tells of its own task; the
// attempt is over when every one has ended, and the group fails with the first
// task that did.

func isParallel(o *Observed) bool { return o.TaskGroup.Spec.Execution == v1alpha1.Parallel }

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

// parallelPods are the attempt's pods by the position of their task.
func parallelPods(o *Observed) map[int]*corev1.Pod {
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

// parallelTasks are the states as the pods tell them, and the verdicts of the
// tasks that failed, in the order of the tasks.
func parallelTasks(o *Observed) (tasks []v1alpha1.TaskStatus, failures []verdict, open int) {
	pods := parallelPods(o)
	tasks = uniformTasks(o, v1alpha1.TaskPending)
	for i := range tasks {
		if tasks[i].State == v1alpha1.TaskCompleted {
			continue
		}
		pod := pods[i]
		switch {
		case pod == nil:
			open++
		case PodEnded(pod):
			v := podVerdict(o, pod)
			tasks[i] = taskOfVerdict(tasks[i].NodeID, v)
			if !v.succeeded {
				failures = append(failures, v)
			}
		default:
			open++
			if pod.Status.Phase == corev1.PodRunning {
				tasks[i].State = v1alpha1.TaskRunning
			}
		}
	}
	boundDetails(tasks)
	return tasks, failures, open
}

// boundDetails keeps the status of 256 failed tasks within 32 KiB: the first
// failures say why, the others one word. Every task's manifest has it all.
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

const (
	// maxDetailed is how many failed tasks of a Parallel group say why.
	maxDetailed = 8
	// maxParallelMessage bounds what each of them says, in bytes.
	maxParallelMessage = 128
)

// taskOfVerdict is the state of a task whose pod has ended.
func taskOfVerdict(node v1alpha1.NodeID, v verdict) v1alpha1.TaskStatus {
	task := v1alpha1.TaskStatus{NodeID: node, State: v1alpha1.TaskCompleted}
	if v.record != nil {
		task.Digest = shortDigest(v.record.ManifestSHA256)
	}
	if v.succeeded {
		return task
	}
	task.State = v1alpha1.TaskFailed
	task.Reason = v.reason
	task.Message = contract.Truncate(oneLine(v.message), maxParallelMessage)
	if v.record != nil {
		if v.record.States[0] == contract.TaskCancelled {
			task.State = v1alpha1.TaskCancelled
		}
		if f := v.record.Failure; f != nil {
			task.ExitCode = f.ExitCode
		}
	}
	return task
}

// shortDigest is a SHA-256 as 43 characters instead of 64, since a status may
// hold 256 of them; empty for none.
func shortDigest(sha256 string) string {
	raw, err := hex.DecodeString(sha256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// parallelEnded ends the attempt when every task has ended, and tells of
// progress while one runs.
func parallelEnded(o *Observed, now time.Time) *Plan {
	tasks, failures, open := parallelTasks(o)
	if open > 0 && !jobFinished(o.Job) {
		return parallelProgress(o, tasks, now)
	}
	if o.livePod() != nil {
		return &Plan{}
	}
	// A task without a pod was not begun, or its pod is gone; the Job knows which.
	for i := range tasks {
		if tasks[i].State != v1alpha1.TaskPending && tasks[i].State != v1alpha1.TaskRunning {
			continue
		}
		v := jobVerdict(o)
		tasks[i] = taskOfVerdict(tasks[i].NodeID, v)
		if !v.succeeded {
			failures = append(failures, v)
		}
	}
	if len(failures) == 0 {
		return parallelFinish(o, tasks, allCompleted(tasks), now)
	}
	for _, failure := range failures {
		if mayRetry(o.TaskGroup, failure.reason) {
			failure.message = failuresMessage(failures, len(tasks), failure.message)
			failure.record = nil
			status := retryingStatus(o, failure, now)
			keepCompleted(status.Tasks, tasks, o.Attempt)
			status.Summary = summaryOf(status.Tasks)
			return &Plan{Status: status}
		}
	}
	first := failures[0]
	first.message = failuresMessage(failures, len(tasks), first.message)
	return parallelFinish(o, tasks, first, now)
}

func allCompleted(tasks []v1alpha1.TaskStatus) verdict {
	return verdict{succeeded: true, reason: v1alpha1.ReasonCompleted, message: completedMessage(len(tasks))}
}

func failuresMessage(failures []verdict, tasks int, first string) string {
	if len(failures) == 1 {
		return first
	}
	return fmt.Sprintf("%d of %d tasks failed; the first: %s", len(failures), tasks, first)
}

func parallelFinish(o *Observed, tasks []v1alpha1.TaskStatus, v verdict, now time.Time) *Plan {
	v.record = nil
	status := progressed(o, o.attemptPod())
	status.Tasks = tasks
	if last := LastJob(status); last != nil && last.Reason == "" {
		closeAttempt(status, v.reason, v.message, "", now)
	}
	settle(status, v, o.TaskGroup.Generation, now)
	return &Plan{Status: status}
}

// parallelProgress is nil while no pod runs or has ended: then starting tells
// what the pods wait for. A pod that cannot start gives the attempt up, once
// nothing else runs.
func parallelProgress(o *Observed, tasks []v1alpha1.TaskStatus, now time.Time) *Plan {
	begun, runs := 0, 0
	for _, pod := range parallelPods(o) {
		if pod.Status.Phase == corev1.PodRunning {
			runs++
		}
		if pod.Status.Phase == corev1.PodRunning || PodEnded(pod) {
			begun++
		}
	}
	if reason, _, _ := startError(o.attemptPod()); begun == 0 || (runs == 0 && reason != "") {
		return nil
	}
	pod := o.attemptPod()
	status := progressed(o, pod)
	began(status, pod, nowTime(now))
	status.Tasks = tasks
	underWay(status, v1alpha1.ReasonRunning, fmt.Sprintf("%d pods of Job %s run", runs, o.JobName), now)
	return &Plan{Status: status, Progress: true}
}

// keepCompleted takes over what an attempt completed, and notes which one it was:
// another attempt follows.
func keepCompleted(tasks, ended []v1alpha1.TaskStatus, attempt int32) {
	for i := range ended {
		if ended[i].State != v1alpha1.TaskCompleted {
			continue
		}
		tasks[i] = ended[i]
		if tasks[i].Attempt == 0 {
			tasks[i].Attempt = attempt
		}
	}
}

// keepEnded takes over the states of tasks that have ended and whose pods may be
// gone by now.
func keepEnded(tasks, known []v1alpha1.TaskStatus) {
	for i := range known {
		if known[i].State.IsTerminal() && !tasks[i].State.IsTerminal() {
			tasks[i] = known[i]
		}
	}
}

// lastParallelWords keeps what the pods of an attempt that was given up had
// completed; nil where there is nothing new.
func lastParallelWords(o *Observed, job types.UID) *v1alpha1.TaskGroupStatus {
	former := *o
	former.Job, former.JobUID = o.Former, job
	former.Attempt = LastJob(&o.TaskGroup.Status).Attempt
	ended, _, _ := parallelTasks(&former)
	status := progressed(o, nil)
	status.Tasks = pendingTasks(o, nil)
	keepCompleted(status.Tasks, ended, former.Attempt)
	if summaryOf(status.Tasks) == status.Summary {
		return nil
	}
	status.Summary = summaryOf(status.Tasks)
	return status
}

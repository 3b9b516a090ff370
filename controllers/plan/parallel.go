package plan

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// parallel runs each task in a pod of its own, all pods of an attempt in one
// Indexed Job. Results, budgets, timeouts and attempts are per task:
//
//   - A task is settled when it is COMPLETED, or FAILED without budget for a retry.
//     A settled task is never run again.
//   - An attempt terminates when all of its pods have terminated, or when nothing of
//     it runs and every remaining pod is stuck. Then its tasks are settled or set to
//     PENDING, and the next attempt runs the pending ones (settle.go).
type parallel struct{}

func (parallel) podCount(o *Observed) int {
	attempt := AttemptOf(o.TaskGroup, o.Attempt)
	return len(attempt.Tasks(o.TaskGroup))
}

// missingPods counts the pods that spec.parallelism allows at this time.
func (p parallel) missingPods(o *Observed) int {
	live := 0
	for _, pod := range taskPods(o) {
		if !PodEnded(pod) {
			live++
		}
	}
	unstarted := 0
	for _, task := range p.view(o).tasks {
		if task.pod == nil && !task.status.State.IsTerminal() {
			unstarted++
		}
	}
	if limit := o.TaskGroup.Spec.Parallelism; limit != nil {
		return min(unstarted, max(0, int(*limit)-live))
	}
	return unstarted
}

func (parallel) recordSize(*v1alpha1.TaskGroup) int { return 1 }

// takeOver skips the settled tasks.
func (parallel) takeOver(tg *v1alpha1.TaskGroup, number int32) jobspec.Attempt {
	settled := map[v1alpha1.NodeID]bool{}
	for i := range tg.Status.Tasks {
		if task := &tg.Status.Tasks[i]; isSettled(task, number) {
			settled[task.NodeID] = true
		}
	}
	return jobspec.Attempt{Done: settled}
}

// isSettled reports whether a task was settled before an attempt. A FAILED task of
// the attempt itself may still be retried. Objects of earlier releases have no
// attempt on tasks that the newest attempt completed.
func isSettled(task *v1alpha1.TaskStatus, attempt int32) bool {
	switch task.State {
	case v1alpha1.TaskCompleted:
		return task.Attempt < attempt
	case v1alpha1.TaskFailed, v1alpha1.TaskCancelled:
		return task.Attempt > 0 && task.Attempt < attempt
	case v1alpha1.TaskPending, v1alpha1.TaskRunning:
	}
	return false
}

// tasks keeps the settled tasks, and what the others have spent of their budgets.
func (parallel) tasks(o *Observed, state v1alpha1.TaskState) []v1alpha1.TaskStatus {
	tasks := newTasks(o.TaskGroup, state)
	for i := range min(len(tasks), len(o.TaskGroup.Status.Tasks)) {
		known := &o.TaskGroup.Status.Tasks[i]
		if known.State == v1alpha1.TaskCompleted || isSettled(known, o.Attempt) {
			tasks[i] = *known
		} else {
			tasks[i].Retries = known.Retries
		}
	}
	return tasks
}

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
			t.verdict = recordedTask(&t.status)
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
	return &verdict{reason: task.Reason, message: message}
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
	result.State, result.Reason, result.Retries = v1alpha1.TaskFailed, v.reason, task.Retries
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

func (parallel) terminatedByItself(o *Observed) bool {
	return o.jobIsOurs() && jobFinished(o.Job) && o.Job.DeletionTimestamp == nil
}

// keep records the results of the tasks that terminated before the Job's deletion.
func (p parallel) keep(status *v1alpha1.TaskGroupStatus, o *Observed) bool {
	changed := false
	for i, t := range p.view(o).tasks {
		if t.verdict == nil || t.pod == nil || interrupted(t.pod, t.verdict) || i >= len(status.Tasks) {
			continue
		}
		if status.Tasks[i].State != t.status.State {
			status.Tasks[i], changed = t.status, true
		}
	}
	boundDetails(status.Tasks)
	return changed
}

// interrupted reports whether a task was stopped from outside before it terminated.
func interrupted(pod *corev1.Pod, v *verdict) bool {
	return v.reason == v1alpha1.ReasonTerminated || (v.record == nil && pod.DeletionTimestamp != nil && !v.succeeded)
}

// cancelled keeps the results of the tasks that terminated.
func (p parallel) cancelled(status *v1alpha1.TaskGroupStatus, o *Observed, _ *corev1.Pod) {
	source := *o
	source.TaskGroup = o.TaskGroup.DeepCopy()
	source.TaskGroup.Status = *status
	source.views = nil
	status.Tasks = p.view(&source).statuses()
	status.Summary = summaryOf(status.Tasks)
}

func (p parallel) progress(o *Observed, now time.Time) *Plan {
	view := p.view(o)
	c := countPods(o, view, now)
	waits := c.waits + p.missingPods(o)
	if c.running == 0 && c.waiting == nil {
		c.next = sooner(c.next, nextTimeout(o, nil, now))
	}
	pod := o.attemptPod()
	if c.running == 0 && !c.begun {
		return startingPlan(o, pod, c.next, now)
	}
	status := progressed(o, pod)
	started(status, pod, nowTime(now))
	status.Tasks = view.statuses()
	message := fmt.Sprintf("%d running", c.running)
	if waits > 0 {
		message = fmt.Sprintf("%d running, %d waiting: %s", c.running, waits, waitingFor(o, c.waiting))
	}
	unfinished(status, v1alpha1.ReasonRunning, message, now)
	return &Plan{Status: status, Progress: true, RequeueAfter: c.next}
}

// podCounts are the pods of an active attempt by what they do.
type podCounts struct {
	running, waits int
	// begun reports that a task of the attempt has a result.
	begun bool
	// waiting is the first pod with an obstacle, or else the first that waits.
	waiting *corev1.Pod
	// next is when the first timeout of a waiting pod expires; 0 for never.
	next time.Duration
}

func countPods(o *Observed, view *parallelView, now time.Time) podCounts {
	c := podCounts{}
	for i := range view.tasks {
		pod := view.tasks[i].pod
		switch {
		case pod == nil:
			// The pod of a recorded result was deleted.
			c.begun = c.begun || view.tasks[i].verdict != nil
		case tasksTerminated(pod):
			c.begun = true
		case pod.Status.Phase == corev1.PodRunning:
			c.running++
		default:
			c.waits++
			c.next = sooner(c.next, nextTimeout(o, pod, now))
			if c.waiting == nil || (obstacle(o, c.waiting) == "" && obstacle(o, pod) != "") {
				c.waiting = pod
			}
		}
	}
	return c
}

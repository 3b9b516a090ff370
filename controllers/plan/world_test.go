// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// world plays the cluster around one group: the Job controller, the garbage
// collector, nodes, a queue, users, and the operator, which decides and carries out
// its plans. Only legal transitions occur, in the order that a script chooses.
type world struct {
	*script
	t    *testing.T
	tg   *v1alpha1.TaskGroup
	now  time.Time
	jobs []*worldJob
	pods []*worldPod
	// names numbers the pods.
	names    int
	delivery jobspec.Delivery
	// refusal is the warning about a Job that has no pod.
	refusal string
	// The ledger of the operator's process: it is lost when the process restarts.
	created    map[int32]types.UID
	terminated []*worldPod
	errorSince map[types.UID]time.Time
	problems   map[types.UID]string
	// facts is what happened, whatever the operator observed of it.
	facts worldFacts
}

// worldFacts are the facts that the rules compare the status with.
type worldFacts struct {
	// completed are the attempts in which a pod completed a task, by its position.
	completed map[int][]int32
	// ran are the attempts that contained a task.
	ran map[int][]int32
	// free are the attempts of a task that may be repeated without spending a budget:
	// its pod was stopped by a queue or by the operator, could not mount the runner,
	// never existed or never ran, or its result was lost with the operator's process.
	free map[int][]int32
	// jobs are the attempts that had a Job.
	jobs map[int32]types.UID
	// manifests are the tasks in the committed manifest of an attempt of a Sequential
	// group.
	manifests map[int32][]int
}

type worldJob struct {
	*batchv1.Job
	attempt int32
	// tasks are the positions of the tasks that the Job runs.
	tasks []int
	// resumed are the tasks that the manifest of an earlier attempt contains.
	resumed []int
	// results are the phases in which its pods terminated, by index; empty for a pod
	// that has not.
	results map[int]corev1.PodPhase
}

// worldPod is a pod. Its object is replaced at each transition, because the
// operator may hold an earlier version of it.
type worldPod struct {
	*corev1.Pod
	job *worldJob
	// task is the position of the task of a Parallel group's pod.
	task int
}

func newWorld(t *testing.T, s *script, tg *v1alpha1.TaskGroup) *world {
	t.Helper()
	return &world{
		script: s, t: t, tg: tg, now: now, delivery: jobspec.ImageVolume,
		created: map[int32]types.UID{}, errorSince: map[types.UID]time.Time{}, problems: map[types.UID]string{},
		facts: worldFacts{completed: map[int][]int32{}, ran: map[int][]int32{}, free: map[int][]int32{}, jobs: map[int32]types.UID{}, manifests: map[int32][]int{}},
	}
}

func (w *world) isParallel() bool { return w.tg.Spec.Execution == v1alpha1.Parallel }

// edit changes the spec.
func (w *world) edit(change func(*v1alpha1.TaskGroupSpec)) {
	w.tg = w.tg.DeepCopy()
	defer func() { w.t.Logf("cancel %t, suspend %t", w.tg.Spec.Cancel, w.tg.Spec.Suspend) }()
	change(&w.tg.Spec)
	w.tg.Generation++
}

func (w *world) jobOf(attempt int32) *worldJob {
	i := slices.IndexFunc(w.jobs, func(j *worldJob) bool { return j.attempt == attempt })
	if i < 0 {
		return nil
	}
	return w.jobs[i]
}

// observe returns what a pass of the operator loads with a cache that is up to date.
func (w *world) observe() *plan.Observed {
	attempt := plan.CurrentAttempt(&w.tg.Status)
	o := &plan.Observed{
		TaskGroup: w.tg, Attempt: attempt, JobName: jobspec.JobName(w.tg.Name, w.tg.UID, attempt),
		JobUID: w.created[attempt], ErrorSince: map[types.UID]time.Time{}, PodProblems: w.problems,
	}
	if uri := jobspec.AttemptURI(w.tg, attempt); uri != "" {
		o.ManifestURI = contract.ManifestURI(uri)
	}
	for _, job := range w.tg.Status.Jobs {
		if job.Attempt == attempt {
			o.JobUID = job.UID
		}
	}
	if job := w.jobOf(attempt); job != nil {
		o.Job = job.Job
	}
	if last := plan.LastJob(&w.tg.Status); last != nil && last.Reason != "" && w.jobOf(last.Attempt) != nil {
		o.Previous = w.jobOf(last.Attempt).Job
	}
	for _, pod := range w.pods {
		o.Pods = append(o.Pods, pod.Pod)
		if !plan.HasStartError(pod.Pod) {
			delete(w.errorSince, pod.UID)
			continue
		}
		if _, known := w.errorSince[pod.UID]; !known {
			w.errorSince[pod.UID] = w.now
		}
		o.ErrorSince[pod.UID] = w.errorSince[pod.UID]
	}
	for _, pod := range w.terminated {
		o.Pods = append(o.Pods, pod.Pod)
	}
	if o.AwaitsPods() {
		o.PodRefusal = w.refusal
	}
	return o
}

// restart loses what is only in the operator's memory. A result that is lost with
// it may be repeated.
func (w *world) restart() {
	for _, pod := range w.terminated {
		if !w.isRecorded(pod) {
			w.setFree(pod, true)
		}
	}
	w.created, w.terminated, w.errorSince = map[int32]types.UID{}, nil, map[types.UID]time.Time{}
}

// createJob creates the Job of the attempt that was decided.
func (w *world) createJob(attempt int32) {
	taken := plan.AttemptOf(w.tg, attempt)
	job := &worldJob{Job: testkit.JobOfAttempt(w.tg, attempt).Obj(), attempt: attempt, results: map[int]corev1.PodPhase{}}
	job.CreationTimestamp, job.Status.StartTime = metav1.Time{Time: w.now}, &metav1.Time{Time: w.now}
	for i := range w.tg.Spec.Tasks {
		if !taken.Done[w.tg.Spec.Tasks[i].NodeID] {
			job.tasks = append(job.tasks, i)
		}
	}
	if taken.Previous != nil {
		job.resumed = w.facts.manifests[attemptOfURI(w.t, taken.Previous.URI)]
	}
	w.jobs = append(w.jobs, job)
	w.created[attempt], w.facts.jobs[attempt] = job.UID, job.UID
	if w.isParallel() {
		for _, task := range job.tasks {
			// Until it has a pod.
			w.facts.free[task] = append(w.facts.free[task], attempt)
			w.facts.ran[task] = append(w.facts.ran[task], attempt)
		}
	}
}

func attemptOfURI(t *testing.T, uri string) int32 {
	t.Helper()
	parts := strings.Split(uri, "/")
	n, err := strconv.Atoi(strings.TrimPrefix(parts[len(parts)-2], "a"))
	if err != nil {
		t.Fatalf("manifest %s: %v", uri, err)
	}
	return int32(n)
}

// deleteJob starts a deletion in the foreground.
func (w *world) deleteJob(job *worldJob, byOperator bool) {
	if job.DeletionTimestamp != nil {
		return
	}
	w.t.Logf("Job %d is deleted by the operator: %t", job.attempt, byOperator)
	job.Job = job.DeepCopy()
	job.DeletionTimestamp = &metav1.Time{Time: w.now}
	for _, pod := range w.podsOf(job) {
		w.deletePod(pod, byOperator)
	}
}

// deletePod sends SIGTERM. free is set if the attempt of its task may be repeated
// without spending a budget.
func (w *world) deletePod(pod *worldPod, free bool) {
	if pod.DeletionTimestamp != nil {
		return
	}
	w.t.Logf("pod %s is deleted", pod.UID)
	if free && !hasResult(pod.Pod) {
		w.setFree(pod, true)
	}
	pod.Pod = pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: w.now.Add(30 * time.Second)}
}

// setFree records whether an attempt of a task may be repeated for free.
func (w *world) setFree(pod *worldPod, free bool) {
	if !w.isParallel() {
		return
	}
	attempts := slices.DeleteFunc(slices.Clone(w.facts.free[pod.task]), func(a int32) bool { return a == pod.job.attempt })
	if free {
		attempts = append(attempts, pod.job.attempt)
	}
	w.facts.free[pod.task] = attempts
}

// isRecorded reports whether the status contains the result of a pod's task.
func (w *world) isRecorded(pod *worldPod) bool {
	return len(w.tg.Status.Tasks) > 0 && w.tg.Status.Tasks[pod.task].State.IsTerminal()
}

func (w *world) podsOf(job *worldJob) []*worldPod {
	var pods []*worldPod
	for _, pod := range w.pods {
		if pod.job == job {
			pods = append(pods, pod)
		}
	}
	return pods
}

// hasResult reports whether the tasks of a pod have terminated.
func hasResult(pod *corev1.Pod) bool {
	return plan.PodEnded(pod) || (len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Terminated != nil)
}

func isHeld(job *worldJob) bool { return job.Spec.Suspend != nil && *job.Spec.Suspend }

func isFinished(job *worldJob) bool { return len(job.Status.Conditions) > 0 }

// syncJob plays one pass of the Job controller, or of the garbage collector.
func (w *world) syncJob(job *worldJob) {
	pods := w.podsOf(job)
	switch {
	case job.DeletionTimestamp != nil:
		if len(pods) == 0 {
			w.jobs = slices.DeleteFunc(w.jobs, func(j *worldJob) bool { return j == job })
		}
	case isFinished(job):
	case isHeld(job):
		for _, pod := range pods {
			if !hasResult(pod.Pod) {
				w.deletePod(pod, true)
			}
		}
	case !w.finishJob(job, pods):
		w.createPods(job, pods)
	}
}

// createPods creates at most one pod per index, as a Job without retries does. An
// index whose pod a queue stopped gets another one.
func (w *world) createPods(job *worldJob, pods []*worldPod) {
	limit := len(job.tasks)
	if w.tg.Spec.Parallelism != nil {
		limit = int(*w.tg.Spec.Parallelism)
	}
	for _, pod := range pods {
		if !plan.PodEnded(pod.Pod) {
			limit--
		}
	}
	indices := []int{0}
	if w.isParallel() {
		indices = job.tasks
	}
	for index, task := range indices {
		if _, exists := job.results[index]; exists || limit <= 0 {
			continue
		}
		limit--
		job.results[index] = ""
		w.createPod(job, index, task)
	}
}

func (w *world) createPod(job *worldJob, index, task int) {
	w.names++
	b := testkit.Pod(job.Job).Named(fmt.Sprintf("%s-%03d", job.Name, w.names)).Unplaced("", "")
	if w.isParallel() {
		nodes := ""
		if len(job.tasks) < len(w.tg.Spec.Tasks) {
			ids := make([]string, len(job.tasks))
			for i, t := range job.tasks {
				ids[i] = w.tg.Spec.Tasks[t].NodeID.String()
			}
			nodes = strings.Join(ids, ",")
		}
		b.Index(index, nodes)
	}
	pod := b.Obj()
	pod.UID, pod.CreationTimestamp, pod.Status.Conditions = types.UID(fmt.Sprintf("pod-%03d", w.names)), metav1.Time{Time: w.now}, nil
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.DeliveryAnnotation, string(w.delivery))
	w.t.Logf("pod %s runs task %d in attempt %d", pod.UID, task, job.attempt)
	p := &worldPod{Pod: pod, job: job, task: task}
	if !w.isParallel() {
		p.task = job.tasks[0]
	}
	w.pods = append(w.pods, p)
	w.setFree(p, false)
}

// finishJob sets the condition of a Job whose pods have all terminated. An index
// whose pod was deleted before it terminated has failed.
func (w *world) finishJob(job *worldJob, pods []*worldPod) bool {
	want := len(job.tasks)
	if !w.isParallel() {
		want = 1
	}
	if len(job.results) < want || slices.ContainsFunc(pods, func(p *worldPod) bool { return !plan.PodEnded(p.Pod) }) {
		return false
	}
	condition := batchv1.JobComplete
	for _, phase := range job.results {
		if phase != corev1.PodSucceeded {
			condition = batchv1.JobFailed
		}
	}
	job.Job = job.DeepCopy()
	job.Status.Conditions = []batchv1.JobCondition{{Type: condition, Status: corev1.ConditionTrue, Reason: "r", Message: "m"}}
	return true
}

// indexOf is the completion index of a pod.
func (w *world) indexOf(pod *worldPod) int {
	return max(0, slices.Index(pod.job.tasks, pod.task))
}

// removePod deletes a pod from the API server. The operator keeps a terminated one
// in its ledger. An index whose pod did not terminate has failed, unless the Job was
// held: then it gets another pod.
func (w *world) removePod(pod *worldPod) {
	w.t.Logf("pod %s does not exist any more", pod.UID)
	switch {
	case plan.PodEnded(pod.Pod):
		w.terminated = append(w.terminated, pod)
	case isHeld(pod.job):
		w.setFree(pod, true)
		delete(pod.job.results, w.indexOf(pod))
	default:
		// It never ran.
		w.setFree(pod, true)
		pod.job.results[w.indexOf(pod)] = corev1.PodFailed
	}
	w.pods = slices.DeleteFunc(w.pods, func(p *worldPod) bool { return p == pod })
}

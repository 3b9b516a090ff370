// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// event lets one thing happen in the cluster.
func (w *world) event() {
	switch w.choose(12) {
	case 0, 1, 2, 3, 4, 5:
		if len(w.pods) > 0 {
			w.stepPod(w.pods[w.choose(len(w.pods))])
		}
	case 6, 7:
		if len(w.jobs) > 0 {
			w.syncJob(w.jobs[w.choose(len(w.jobs))])
		}
	case 8:
		if len(w.jobs) > 0 {
			w.queueEvent(w.jobs[len(w.jobs)-1])
		}
	case 9:
		w.userEvent()
	case 10:
		w.t.Log("the operator restarts")
		w.restart()
	case 11:
		w.refusal = []string{"", "exceeded quota: q", "denied by policy p"}[w.choose(3)]
	}
}

// queueEvent holds or releases a Job that is not finished.
func (w *world) queueEvent(job *worldJob) {
	if isFinished(job) || job.DeletionTimestamp != nil {
		return
	}
	if isHeld(job) {
		w.release(job)
		return
	}
	job.Job = job.DeepCopy()
	job.Spec.Suspend, job.Status.StartTime = new(true), nil
	for _, pod := range w.podsOf(job) {
		if pod.DeletionTimestamp != nil && !w.isRecorded(pod) {
			// Nothing shows which of them was first.
			w.setFree(pod, true)
		}
	}
	w.t.Logf("the queue holds Job %d", job.attempt)
}

func (w *world) release(job *worldJob) {
	w.t.Logf("the queue releases Job %d", job.attempt)
	job.Job = job.DeepCopy()
	job.Spec.Suspend, job.Status.StartTime = nil, &metav1.Time{Time: w.now}
}

func (w *world) userEvent() {
	switch w.choose(12) {
	case 0, 1, 6, 7, 8:
		w.edit(func(spec *v1alpha1.TaskGroupSpec) { spec.Suspend = !spec.Suspend })
	case 2:
		w.edit(func(spec *v1alpha1.TaskGroupSpec) { spec.Cancel = true })
	case 3:
		if len(w.jobs) > 0 {
			w.deleteJob(w.jobs[w.choose(len(w.jobs))], false)
		}
	case 4:
		if len(w.pods) > 0 {
			w.deletePod(w.pods[w.choose(len(w.pods))], false)
		}
	case 5:
		w.edit(func(spec *v1alpha1.TaskGroupSpec) { spec.TTLSecondsAfterFinished = nil })
	}
}

// stepPod takes a pod one step on its way. The first choice of each step leads to
// completion.
func (w *world) stepPod(pod *worldPod) {
	switch {
	case plan.PodEnded(pod.Pod):
		// The pod garbage collector may delete it at any time, and so may a user.
		w.removePod(pod)
	case pod.DeletionTimestamp != nil:
		w.stopPod(pod)
	case pod.Spec.NodeName == "":
		w.schedulePod(pod, w.choose(3))
	case pod.Status.Phase == corev1.PodPending:
		w.startPod(pod, w.choose(8))
	case hasResult(pod.Pod):
		// The last container of the pod terminates.
		w.setPhase(pod, pod.Status.ContainerStatuses[0].State.Terminated.ExitCode)
	default:
		w.stepRunning(pod, w.choose(10))
	}
}

func (w *world) schedulePod(pod *worldPod, choice int) {
	pod.Pod = pod.DeepCopy()
	condition := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Time{Time: w.now}}
	w.t.Logf("pod %s is scheduled: %t", pod.UID, choice != 1)
	if choice == 1 {
		condition.Status, condition.Reason = corev1.ConditionFalse, "Unschedulable"
	} else {
		pod.Spec.NodeName = "node-1"
	}
	pod.Status.Conditions = []corev1.PodCondition{condition}
}

func (w *world) startPod(pod *worldPod, choice int) {
	waiting := func(reason, message string) {
		pod.Pod = pod.DeepCopy()
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: jobspec.TaskContainer, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	}
	w.t.Logf("pod %s starts: %d", pod.UID, choice)
	mount := w.delivery == jobspec.ImageVolume && pod.Annotations[v1alpha1.DeliveryAnnotation] == string(jobspec.ImageVolume)
	switch {
	case choice == 1:
		waiting("ErrImagePull", "")
	case choice == 2:
		waiting("InvalidImageName", "")
	case choice == 3 && mount:
		w.setFree(pod, true)
		waiting("CreateContainerError", "mounting "+jobspec.RunnerDir)
	case choice == 4:
		w.problems[pod.UID] = "FailedMount: m"
	case choice == 5:
		w.refusePod(pod)
	case choice == 6 && mount:
		w.setFree(pod, true)
		w.terminate(pod, 128, "StartError", "exec "+jobspec.RunnerDir)
		w.setPhase(pod, 128)
	case choice == 7:
		// The container is created.
		pod.Pod = pod.DeepCopy()
		pod.Status.ContainerStatuses = nil
	default:
		w.setFree(pod, false)
		pod.Pod = pod.DeepCopy()
		pod.Status.Phase = corev1.PodRunning
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: jobspec.TaskContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: w.now}}},
		}}
	}
}

// refusePod lets a kubelet evict or refuse a pod before any container runs.
func (w *world) refusePod(pod *worldPod) {
	pod.Pod = pod.DeepCopy()
	pod.Status.Reason = []string{"OutOfcpu", "NodeShutdown"}[w.choose(2)]
	w.setPhase(pod, 1)
}

func (w *world) stepRunning(pod *worldPod, choice int) {
	switch choice {
	case 1:
		w.runnerReports(pod, v1alpha1.ReasonTaskError)
		w.setPhase(pod, 1)
	case 2:
		w.terminate(pod, 137, "OOMKilled", "")
		w.setPhase(pod, 137)
	case 3:
		w.terminate(pod, 2, "Error", "garbage")
		w.setPhase(pod, 2)
	case 4:
		w.evict(pod)
	case 5, 6, 8:
		// An injected container keeps running.
		w.runnerReports(pod, map[int]v1alpha1.Reason{5: "", 6: v1alpha1.ReasonInputInvalid, 8: v1alpha1.ReasonTaskError}[choice])
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	case 7:
		w.deletePod(pod, false)
	default:
		w.runnerReports(pod, "")
		w.setPhase(pod, 0)
	}
}

func (w *world) evict(pod *worldPod) {
	w.deletePod(pod, false)
	pod.Pod = pod.DeepCopy()
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
	})
}

// stopPod takes a pod that received SIGTERM one step on its way.
func (w *world) stopPod(pod *worldPod) {
	if isHeld(pod.job) && !hasResult(pod.Pod) {
		// Whatever else stopped it as well.
		w.setFree(pod, true)
	}
	switch {
	case pod.Status.Phase == corev1.PodPending:
		if pod.Spec.NodeName == "" || w.choose(2) == 0 {
			w.removePod(pod)
			return
		}
		w.terminate(pod, 137, "ContainerStatusUnknown", "")
		w.setPhase(pod, 137)
	case hasResult(pod.Pod):
		w.setPhase(pod, pod.Status.ContainerStatuses[0].State.Terminated.ExitCode)
	default:
		switch w.choose(4) {
		case 0:
			w.runnerReports(pod, v1alpha1.ReasonTerminated)
			w.setPhase(pod, 143)
		case 1:
			w.terminate(pod, 137, "Error", "")
			w.setPhase(pod, 137)
		case 2:
			w.setFree(pod, false)
			w.runnerReports(pod, "")
			w.setPhase(pod, 0)
		case 3:
			w.setFree(pod, false)
			w.runnerReports(pod, v1alpha1.ReasonTaskError)
			w.setPhase(pod, 1)
		}
	}
}

// terminate sets the state of the container that runs the tasks.
func (w *world) terminate(pod *worldPod, code int32, reason, message string) {
	pod.Pod = pod.DeepCopy()
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: jobspec.TaskContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: message, FinishedAt: metav1.Time{Time: w.now},
		}},
	}}
}

// setPhase sets the phase that an exit code implies, after which no container runs.
func (w *world) setPhase(pod *worldPod, code int32) {
	pod.Pod = pod.DeepCopy()
	pod.Status.ContainerStatuses = slices.DeleteFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == "proxy" })
	w.t.Logf("pod %s of task %d terminates with %d %s", pod.UID, pod.task, code, pod.Status.Reason)
	pod.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		pod.Status.Phase = corev1.PodFailed
	}
	pod.job.results[w.indexOf(pod)] = pod.Status.Phase
}

// runnerReports terminates the container with a record: all tasks completed, or one
// failed or was stopped.
func (w *world) runnerReports(pod *worldPod, reason v1alpha1.Reason) {
	tasks := pod.job.tasks
	if w.isParallel() {
		tasks = []int{pod.task}
	}
	completed := slices.Clone(pod.job.resumed)
	rest := slices.DeleteFunc(slices.Clone(tasks), func(i int) bool { return slices.Contains(completed, i) })
	count := len(rest)
	if reason != "" {
		count = w.choose(max(1, len(rest)))
	}
	for _, i := range rest[:count] {
		completed = append(completed, i)
		w.facts.completed[i] = append(w.facts.completed[i], pod.job.attempt)
	}
	message := contract.TerminationMessage{}
	if w.isParallel() {
		message.Node = new(contract.NodeID(w.tg.Spec.Tasks[pod.task].NodeID))
	}
	for _, i := range tasks {
		state := contract.TaskCompleted
		if !slices.Contains(completed, i) {
			state = contract.TaskCancelled
			if message.Failure == nil {
				if reason != v1alpha1.ReasonTerminated {
					state = contract.TaskFailed
				}
				message.Failure = &contract.Failure{NodeID: new(contract.NodeID(i)), Reason: contract.Reason(reason)}
			}
		}
		message.States = append(message.States, state)
	}
	if w.tg.Spec.OutputsURI() != "" {
		message.ManifestSHA256 = digest
		w.facts.manifests[pod.job.attempt] = completed
	}
	raw, err := contract.EncodeTerminationMessage(&message)
	if err != nil {
		w.t.Fatal(err)
	}
	code, word := int32(0), "Completed"
	if message.Failure != nil {
		code, word = 1, "Error"
	}
	w.terminate(pod, code, word, string(raw))
}

// calm lets the cluster recover and every pod and Job proceed, and requires that
// the operator finishes the group. It is called only if something changed, or when it
// requested to be called.
func (w *world) calm() {
	w.refusal = ""
	clear(w.problems)
	w.edit(func(spec *v1alpha1.TaskGroupSpec) { spec.Suspend = false })
	next := w.passes(false)
	for range 400 {
		if w.tg.Status.IsFinished() {
			return
		}
		if !w.proceed() {
			if next == 0 {
				w.t.Fatalf("the group is %s: %s: nothing changes any more, and nothing is scheduled (I20)", w.tg.Status.Reason(), w.tg.Status.Message())
			}
			w.now = w.now.Add(next)
		}
		w.now = w.now.Add(time.Second)
		next = w.passes(false)
	}
	w.t.Fatalf("the group does not finish (I20): it is %s: %s", w.tg.Status.Reason(), w.tg.Status.Message())
}

// proceed takes every pod and every Job one step on its way. It returns whether that
// changed anything.
func (w *world) proceed() bool {
	changed := false
	for _, pod := range slices.Clone(w.pods) {
		switch {
		case !plan.PodEnded(pod.Pod):
			w.stepPod(pod)
		case pod.DeletionTimestamp != nil || pod.job.DeletionTimestamp != nil:
			w.removePod(pod)
		default:
			continue
		}
		changed = true
	}
	for _, job := range slices.Clone(w.jobs) {
		if isHeld(job) && !isFinished(job) && job.DeletionTimestamp == nil {
			w.release(job)
			changed = true
		}
		before, pods, jobs := job.Job, len(w.pods), len(w.jobs)
		w.syncJob(job)
		changed = changed || job.Job != before || len(w.pods) != pods || len(w.jobs) != jobs
	}
	return changed
}

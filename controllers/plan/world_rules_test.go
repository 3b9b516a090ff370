// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// maxPasses is how many passes may follow each other while nothing else changes.
const maxPasses = 12

// passes plays the operator until it changes nothing (I18), and returns when it
// requests to be called again. With faults, it may restart between two of its
// writes, a Job may be refused, and progress may be written later.
func (w *world) passes(faults bool) time.Duration {
	w.t.Helper()
	for range maxPasses {
		changed, next := w.pass(faults)
		if !changed {
			return next
		}
	}
	w.t.Fatalf("%d passes have changed something while nothing else did (I18): the group is %s: %s", maxPasses, w.tg.Status.Reason(), w.tg.Status.Message())
	return 0
}

// pass plays one pass of the operator. It returns whether it changed anything.
func (w *world) pass(faults bool) (changed bool, next time.Duration) {
	w.t.Helper()
	o := w.observe()
	before := w.tg.DeepCopy()
	p := plan.Decide(o, w.now)
	if diff := cmp.Diff(before, o.TaskGroup); diff != "" {
		w.t.Fatalf("Decide changed what it observed:\n%s", diff)
	}
	slices.Reverse(o.Pods)
	if other := plan.Decide(o, w.now); !cmp.Equal(p, other) {
		w.t.Fatalf("the plan depends on the order of the pods:\n%s", cmp.Diff(p, other))
	}
	w.requireClaim(o, &p)
	if p.CreateJob {
		if w.mayCreate(o) {
			return true, 0
		}
		if faults && w.choose(6) == 1 {
			p = plan.Queue(o, plan.RefusedByQuota, "exceeded quota: q", w.now)
		} else {
			w.createJob(o.Attempt)
			return true, 0
		}
	}
	if p.Claim == plan.ClaimStopped && o.JobUID == "" && w.facts.jobs[o.Attempt] != "" {
		// An event mentions the Job that a previous process created.
		w.created[o.Attempt] = w.facts.jobs[o.Attempt]
		return true, 0
	}
	if p.SwitchDelivery {
		w.delivery = jobspec.InitContainer
	}
	if p.DeleteJob != nil {
		w.carryOutDelete(o, &p)
		changed = true
	}
	if p.Status == nil || cmp.Equal(&before.Status, p.Status) {
		return changed, p.RequeueAfter
	}
	if faults && (p.Progress && w.choose(4) == 1 || w.choose(16) == 1) {
		w.restart()
		return changed, p.RequeueAfter
	}
	w.t.Logf("status: %s: %s: %s", p.Status.Reason(), p.Status.Message(), statesOf(p.Status))
	w.requireStatus(o, &p)
	w.tg = w.tg.DeepCopy()
	w.tg.Status = *p.Status
	return true, p.RequeueAfter
}

func statesOf(status *v1alpha1.TaskGroupStatus) string {
	var states strings.Builder
	for _, task := range status.Tasks {
		fmt.Fprintf(&states, " %s(%s)@%d", task.State, task.Reason, task.Attempt)
	}
	return states.String()
}

// mayCreate checks a plan to create a Job. It returns true if the attempt had a Job
// that a previous process created, as its events show: then nothing is created.
func (w *world) mayCreate(o *plan.Observed) bool {
	w.t.Helper()
	if uid := w.facts.jobs[o.Attempt]; uid != "" {
		if w.created[o.Attempt] == uid {
			w.t.Fatalf("attempt %d gets a second Job (I1)", o.Attempt)
		}
		w.created[o.Attempt] = uid
		return true
	}
	for _, job := range w.jobs {
		if !isFinished(job) {
			w.t.Fatalf("attempt %d gets a Job while the Job of attempt %d is not finished (I2)", o.Attempt, job.attempt)
		}
	}
	w.requireNoLivePod("attempt %d gets a Job", o.Attempt)
	for i := range w.tg.Spec.Tasks {
		if w.isParallel() && !plan.AttemptOf(w.tg, o.Attempt).Done[w.tg.Spec.Tasks[i].NodeID] {
			w.requireBudget(i, o.Attempt)
		}
	}
	return false
}

// requireBudget checks that a task is not run more often than its budgets allow
// (I22).
func (w *world) requireBudget(task int, attempt int32) {
	w.t.Helper()
	allowed := 1 + w.tg.Spec.Retries.Limit + *w.tg.Spec.Retries.InfrastructureLimit
	runs := int32(0)
	for earlier := int32(1); earlier < attempt; earlier++ {
		if slices.Contains(w.facts.ran[task], earlier) && !slices.Contains(w.facts.free[task], earlier) {
			runs++
		}
	}
	if runs >= allowed {
		w.t.Fatalf("task %d is run %d times, its budgets allow %d (I22): it ran in attempts %v, of which %v were free",
			task, runs+1, allowed, w.facts.ran[task], w.facts.free[task])
	}
}

func (w *world) requireNoLivePod(format string, args ...any) {
	w.t.Helper()
	for _, pod := range w.pods {
		if !plan.PodEnded(pod.Pod) {
			w.t.Fatalf(format+" while pod "+pod.Name+" runs", args...)
		}
	}
}

func (w *world) carryOutDelete(o *plan.Observed, p *plan.Plan) {
	w.t.Helper()
	i := slices.IndexFunc(w.jobs, func(j *worldJob) bool { return j.UID == p.DeleteJob.UID })
	if i < 0 || w.jobs[i].DeletionTimestamp != nil {
		w.t.Fatalf("Job %s is deleted, which does not exist or is being deleted", p.DeleteJob.Name)
	}
	if !o.TaskGroup.Spec.Cancel && o.TaskGroup.Status.Reason() != v1alpha1.ReasonCancelling {
		if last := plan.LastJob(&o.TaskGroup.Status); last == nil || last.Reason == "" {
			w.t.Fatalf("Job %s is deleted and the status contains no cause", p.DeleteJob.Name)
		}
	}
	w.deleteJob(w.jobs[i], true)
}

// requireClaim checks that an attempt is not closed because of a pod that is missing
// or late without a claim about the pods (I39).
func (w *world) requireClaim(o *plan.Observed, p *plan.Plan) {
	w.t.Helper()
	if p.Status == nil || p.Status.Reason() == v1alpha1.ReasonCancelled || p.Status.Reason() == v1alpha1.ReasonCancelling {
		return
	}
	last := plan.LastJob(p.Status)
	if last == nil || last.Attempt != o.Attempt || last.Reason == "" || last.Reason == v1alpha1.ReasonSuspended {
		return
	}
	job := w.jobOf(o.Attempt)
	for _, task := range job.tasks {
		read := false
		for _, pod := range o.Pods {
			owner := pod.OwnerReferences
			if len(owner) == 1 && owner[0].UID == job.UID && hasResult(pod) && (!w.isParallel() || podRuns(job, pod, task)) {
				read = true
			}
		}
		known := task < len(o.TaskGroup.Status.Tasks) && o.TaskGroup.Status.Tasks[task].State.IsTerminal()
		if !read && !known && p.Claim != plan.ClaimPods {
			w.t.Fatalf("attempt %d is closed as %s without a result of task %d, and the plan claims %d (I39)", o.Attempt, last.Reason, task, p.Claim)
		}
	}
}

func podRuns(job *worldJob, pod *corev1.Pod, task int) bool {
	index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	return err == nil && job.tasks[index] == task
}

// requireStatus checks the status of a plan against the stored one and the facts.
func (w *world) requireStatus(o *plan.Observed, p *plan.Plan) {
	w.t.Helper()
	before, after := &o.TaskGroup.Status, p.Status
	requireMonotone(w.t, before, after)
	if raw, err := json.Marshal(after); err != nil || len(raw) > 32<<10 {
		w.t.Fatalf("the status has %d bytes, %v (I33)", len(raw), err)
	}
	if spent := after.Retries; spent != nil {
		if spent.User > w.tg.Spec.Retries.Limit*int32(len(w.tg.Spec.Tasks)) {
			w.t.Fatalf("the group spent %d of a budget of %d per task (I22)", spent.User, w.tg.Spec.Retries.Limit)
		}
	}
	for i := range after.Tasks {
		if after.Tasks[i].State == v1alpha1.TaskCompleted && !slices.Contains(w.facts.completed[i], after.Tasks[i].Attempt) {
			w.t.Fatalf("task %d is COMPLETED by attempt %d, its pods completed it in the attempts %v (I8)", i, after.Tasks[i].Attempt, w.facts.completed[i])
		}
		if i < len(before.Tasks) {
			w.requireTask(i, o, before, after)
		}
	}
	if !after.IsFinished() {
		return
	}
	w.requireNoLivePod("the group is %s", after.Reason())
	for i, task := range after.Tasks {
		if !task.State.IsTerminal() || (after.Reason() == v1alpha1.ReasonCompleted && task.State != v1alpha1.TaskCompleted) {
			w.t.Fatalf("the group is %s and task %d is %s (I9)", after.Reason(), i, task.State)
		}
	}
}

// requireTask checks the transition of one task.
func (w *world) requireTask(i int, o *plan.Observed, beforeStatus, afterStatus *v1alpha1.TaskGroupStatus) {
	w.t.Helper()
	before, after := &beforeStatus.Tasks[i], &afterStatus.Tasks[i]
	switch before.State {
	case v1alpha1.TaskCompleted:
		if diff := cmp.Diff(before, after); diff != "" {
			w.t.Fatalf("the COMPLETED task %d changed:\n%s", i, diff)
		}
	case v1alpha1.TaskFailed:
		if after.State.IsTerminal() {
			return
		}
		attempt := before.Attempt
		if attempt == 0 {
			attempt = o.Attempt
		}
		if !w.spent(before, after) && !slices.Contains(w.facts.free[i], attempt) {
			w.t.Fatalf("task %d FAILED in attempt %d with %s, is %s, and spent no budget of that reason (I22)", i, attempt, before.Reason, after.State)
		}
	default:
	}
}

// spent reports whether a task spent the budget of the reason that it failed for.
func (w *world) spent(before, after *v1alpha1.TaskStatus) bool {
	count := func(task *v1alpha1.TaskStatus) int32 {
		switch info := before.Reason.Info(); {
		case task.Retries == nil || !info.Retryable:
			return 0
		case info.Source == v1alpha1.SourceInfrastructure:
			return task.Retries.Infrastructure
		default:
			return task.Retries.User
		}
	}
	return count(after) > count(before)
}

// requireFinal checks that a finished group changes in nothing but
// observedGeneration (I6).
func (w *world) requireFinal() {
	w.t.Helper()
	final := w.tg.Status.DeepCopy()
	w.edit(func(spec *v1alpha1.TaskGroupSpec) { spec.Suspend, spec.Cancel = true, true })
	w.restart()
	for range 3 {
		w.event()
		w.passes(false)
	}
	if diff := cmp.Diff(final, &w.tg.Status, cmpopts.IgnoreFields(v1alpha1.TaskGroupStatus{}, "ObservedGeneration")); diff != "" {
		w.t.Fatalf("the final status changed (I6):\n%s", diff)
	}
	if w.tg.Status.ObservedGeneration != w.tg.Generation {
		w.t.Fatalf("observedGeneration is %d, want %d", w.tg.Status.ObservedGeneration, w.tg.Generation)
	}
}

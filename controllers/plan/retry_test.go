// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// life plays a group against Decide: each status that is decided is stored, and
// the next decision rests on it.
type life struct {
	t    *testing.T
	tg   *v1alpha1.TaskGroup
	now  time.Time
	jobs map[int32]*batchv1.Job
	pods []*corev1.Pod
}

func newLife(t *testing.T, tg *v1alpha1.TaskGroup) *life {
	t.Helper()
	return &life{t: t, tg: tg, now: now, jobs: map[int32]*batchv1.Job{}}
}

// decide takes one step and stores its status.
func (l *life) decide() plan.Plan {
	l.t.Helper()
	attempt := plan.CurrentAttempt(&l.tg.Status)
	o := observe(l.tg, l.jobs[attempt], l.pods...)
	o.Attempt = attempt
	o.JobName = jobspec.JobName(l.tg.Name, l.tg.UID, attempt)
	o.ManifestURI = ""
	if uri := jobspec.AttemptURI(l.tg, attempt); uri != "" {
		o.ManifestURI = contract.ManifestURI(uri)
	}
	if last := plan.LastJob(&l.tg.Status); last != nil {
		if last.Reason == "" {
			o.JobUID = last.UID
		} else {
			o.Previous = l.jobs[last.Attempt]
		}
	}
	p := plan.Decide(o, l.now)
	if p.Status != nil {
		l.tg = l.tg.DeepCopy()
		l.tg.Status = *p.Status
	}
	return p
}

// begin expects a new attempt and gives it a Job and a pod that runs.
func (l *life) begin(attempt int32) *corev1.Pod {
	l.t.Helper()
	if p := l.decide(); !p.CreateJob {
		l.t.Fatalf("no Job is created: %+v", outcomeOf(p))
	}
	if got := plan.CurrentAttempt(&l.tg.Status); got != attempt {
		l.t.Fatalf("it is attempt %d, want %d", got, attempt)
	}
	l.jobs[attempt] = testkit.JobOfAttempt(l.tg, attempt).Obj()
	pod := testkit.Pod(l.jobs[attempt]).Running().Obj()
	l.pods = append(l.pods, pod)
	return pod
}

// end ends the newest pod, and its Job.
func (l *life) end(attempt int32, pod *corev1.Pod) {
	l.pods[len(l.pods)-1] = pod
	l.jobs[attempt].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
}

func (l *life) wantReason(want v1alpha1.Reason) {
	l.t.Helper()
	if got := l.tg.Status.Reason(); got != want {
		l.t.Fatalf("the group is %s, want %s: %+v", got, want, l.tg.Status)
	}
}

func failed(t *testing.T, states string) string {
	t.Helper()
	return record(t, states, &contract.Failure{Reason: contract.ReasonTaskError, Message: "boom"})
}

// TestRetryResumes follows a group through a failure of its second task, an
// eviction, and success.
func TestRetryResumes(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(3).Outputs("file:///out").Retries(1, 1).Obj())
	l.begin(1)
	l.decide()
	l.wantReason(v1alpha1.ReasonRunning)
	l.end(1, testkit.Pod(l.jobs[1]).Ended(1, "Error", failed(t, "CFX")).Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	if diff := cmp.Diff(&v1alpha1.RetryCounts{User: 1}, l.tg.Status.Retries); diff != "" {
		t.Errorf("spent (-want +got):\n%s", diff)
	}

	p := l.decide()
	if p.CreateJob || p.RequeueAfter <= 0 || p.RequeueAfter > 2*time.Second {
		t.Fatalf("does not wait for its time: %+v", p)
	}
	l.now = l.now.Add(p.RequeueAfter)
	l.begin(2)
	want := jobspec.Attempt{Number: 2, Previous: &contract.ManifestReference{URI: "file:///out/uid-of-g/a1/manifest.json", SHA256: digest}}
	if diff := cmp.Diff(want, plan.AttemptOf(l.tg, 2)); diff != "" {
		t.Errorf("the second attempt (-want +got):\n%s", diff)
	}
	p = l.decide()
	if got := outcomeOf(p); got.States != "CRR" || got.Done != "1/3" {
		t.Errorf("while the second attempt runs: %+v", got)
	}

	// The node goes; nothing is recorded, so the first manifest still counts.
	l.end(2, testkit.Pod(l.jobs[2]).Refused("NodeLost", "gone").Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	l.now = l.now.Add(time.Minute)
	l.begin(3)
	third := jobspec.Attempt{Number: 3, Previous: want.Previous, Uncommitted: []int32{2}}
	if diff := cmp.Diff(third, plan.AttemptOf(l.tg, 3)); diff != "" {
		t.Errorf("the third attempt (-want +got):\n%s", diff)
	}
	l.end(3, testkit.Pod(l.jobs[3]).Ended(0, "Completed", record(t, "CCC", nil)).Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonCompleted)
	if diff := cmp.Diff(&v1alpha1.RetryCounts{User: 1, Infrastructure: 1}, l.tg.Status.Retries); diff != "" {
		t.Errorf("spent (-want +got):\n%s", diff)
	}
	if got := l.tg.Status.Manifest.URI; !strings.Contains(got, "/a3/") {
		t.Errorf("the manifest is %s, want the third attempt's", got)
	}
}

func TestBudgets(t *testing.T) {
	cases := map[string]struct {
		limit, infrastructure int32
		spent                 *v1alpha1.RetryCounts
		pod                   func(*testkit.PodBuilder) *testkit.PodBuilder
		want                  v1alpha1.Reason
	}{
		"a failure without a budget": {0, 3, nil, func(p *testkit.PodBuilder) *testkit.PodBuilder { return p.Ended(1, "Error", failed(t, "F")) }, v1alpha1.ReasonTaskError},
		"a failure with a budget":    {1, 0, nil, func(p *testkit.PodBuilder) *testkit.PodBuilder { return p.Ended(1, "Error", failed(t, "F")) }, v1alpha1.ReasonRetrying},
		"a budget that is spent": {1, 3, &v1alpha1.RetryCounts{User: 1},
			func(p *testkit.PodBuilder) *testkit.PodBuilder { return p.Ended(1, "Error", failed(t, "F")) }, v1alpha1.ReasonTaskError},
		"an eviction does not spend the user's": {0, 1, nil, func(p *testkit.PodBuilder) *testkit.PodBuilder { return p.Refused("Evicted", "x") }, v1alpha1.ReasonRetrying},
		"evictions have a limit too": {5, 1, &v1alpha1.RetryCounts{Infrastructure: 1},
			func(p *testkit.PodBuilder) *testkit.PodBuilder { return p.Refused("Evicted", "x") }, v1alpha1.ReasonEvicted},
		"a preemption is infrastructure": {0, 1, nil,
			func(p *testkit.PodBuilder) *testkit.PodBuilder {
				return p.Ended(143, "Error", "").Disrupted("PreemptionByScheduler", "x")
			}, v1alpha1.ReasonRetrying},
		"what fails every time is not retried": {5, 5, nil, func(p *testkit.PodBuilder) *testkit.PodBuilder {
			return p.Ended(1, "Error", record(t, "F", &contract.Failure{Reason: contract.ReasonInputInvalid, Message: "x"}))
		}, v1alpha1.ReasonInputInvalid},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(tc.limit, tc.infrastructure).Obj())
			l.begin(1)
			l.tg.Status.Retries = tc.spent
			l.end(1, tc.pod(testkit.Pod(l.jobs[1])).Obj())
			l.decide()
			l.wantReason(tc.want)
		})
	}
}

// TestStoppedBeforeItsFirstTask: a pod that is deleted a moment after it began is
// no more the user's failure than one that is deleted later.
func TestStoppedBeforeItsFirstTask(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(0, 1).Obj())
	l.begin(1)
	early := record(t, "X", &contract.Failure{Reason: contract.ReasonNotStarted, Message: "the pod was told to end before this task started"})
	l.end(1, testkit.Pod(l.jobs[1]).Ended(143, "Error", early).Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	if last := plan.LastJob(&l.tg.Status); last.Reason != v1alpha1.ReasonTerminated || l.tg.Status.Retries.Infrastructure != 1 {
		t.Errorf("the attempt ended as %s, spent %+v", last.Reason, l.tg.Status.Retries)
	}
}

// TestBackoffGrowsAndIsRemembered: the time of the next attempt rests on the
// status alone.
func TestBackoffGrowsAndIsRemembered(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(100, 0).Obj())
	var waits []time.Duration
	for attempt := int32(1); attempt <= 12; attempt++ {
		l.begin(attempt)
		l.end(attempt, testkit.Pod(l.jobs[attempt]).Ended(1, "Error", failed(t, "F")).Obj())
		l.decide()
		l.wantReason(v1alpha1.ReasonRetrying)
		wait := l.decide().RequeueAfter
		if again := l.decide().RequeueAfter; again != wait {
			t.Fatalf("the same status waits %v and then %v", wait, again)
		}
		waits = append(waits, wait)
		l.now = l.now.Add(wait)
	}
	for i, wait := range waits {
		most := min(5*time.Minute, 2*time.Second<<i)
		if wait < most/2 || wait > most {
			t.Errorf("retry %d waits %v, want %v to %v", i+1, wait, most/2, most)
		}
	}
	if len(l.tg.Status.Jobs) != 12 {
		t.Errorf("the status knows %d attempts", len(l.tg.Status.Jobs))
	}
}

// TestAnEndThatIsYetToCome: a status that a clock wrote which was a day ahead
// holds no retry back for a day (invariant I24).
func TestAnEndThatIsYetToCome(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(1, 0).Obj())
	l.begin(1)
	l.end(1, testkit.Pod(l.jobs[1]).Ended(1, "Error", failed(t, "F")).Obj())
	right := l.now
	l.now = right.Add(24 * time.Hour)
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	l.now = right
	if p := l.decide(); !p.CreateJob {
		t.Errorf("the next attempt waits for %v", p.RequeueAfter)
	}
}

// TestStatusForgetsTheOldestAttempts keeps the status bounded.
func TestStatusForgetsTheOldestAttempts(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(100, 0).Obj())
	for attempt := int32(1); attempt <= 40; attempt++ {
		l.begin(attempt)
		l.end(attempt, testkit.Pod(l.jobs[attempt]).Ended(1, "Error", failed(t, "F")).Obj())
		l.decide()
		l.now = l.now.Add(time.Hour)
	}
	if got := l.tg.Status.Jobs; len(got) != 32 || got[0].Attempt != 9 || got[31].Attempt != 40 {
		t.Errorf("%d attempts, from %d to %d", len(got), got[0].Attempt, got[len(got)-1].Attempt)
	}
}

func TestOOMCounts(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(2, 0).Obj())
	l.begin(1)
	l.end(1, testkit.Pod(l.jobs[1]).Ended(137, "OOMKilled", "").Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	if got := plan.AttemptOf(l.tg, 2).OOMs; got != 1 {
		t.Errorf("the next attempt knows of %d OOM kills, want 1", got)
	}
}

// TestANewAttemptWaitsForTheFormer: two attempts never overlap (invariants I2, I3).
func TestANewAttemptWaitsForTheFormer(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(0, 1).Obj())
	l.begin(1)
	l.end(1, testkit.Pod(l.jobs[1]).Refused("NodeLost", "gone").Obj())
	l.decide()
	l.now = l.now.Add(time.Hour)
	l.pods = append(l.pods, testkit.Pod(l.jobs[1]).Named("second").Running().Obj())
	if p := l.decide(); p.CreateJob {
		t.Error("a Job is created while a pod of the former attempt runs")
	}
	l.pods = l.pods[:1]
	l.jobs[1].Status.Conditions = nil
	if p := l.decide(); p.CreateJob || p.DeleteJob != nil {
		t.Errorf("does not wait for the former Job to end: %+v", p)
	}
	l.pods = nil
	if p := l.decide(); p.CreateJob || p.DeleteJob != nil || !plan.LastJob(p.Status).Stopped || p.Claim != plan.ClaimPods {
		t.Errorf("the status does not say that the operator stops the previous attempt: %+v", p)
	}
	if p := l.decide(); p.CreateJob || p.DeleteJob == nil {
		t.Error("a Job is created while the previous one may start a pod")
	}
	l.jobs[1].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	if p := l.decide(); !p.CreateJob || p.Claim != plan.ClaimNoJob {
		t.Errorf("no Job is created although no pod runs: %+v", p)
	}
}

// TestCancelBetweenAttempts ends as one and the same, whether or not the Job
// controller has got round to the end of the previous attempt's pod.
func TestCancelBetweenAttempts(t *testing.T) {
	for name, finished := range map[string]bool{"after the former Job's end": true, "before it": false} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(1, 1).Obj())
			l.begin(1)
			l.end(1, testkit.Pod(l.jobs[1]).Ended(1, "Error", failed(t, "F")).Obj())
			l.decide()
			l.wantReason(v1alpha1.ReasonRetrying)
			if !finished {
				l.jobs[1].Status.Conditions = nil
			}
			l.tg.Spec.Cancel = true
			if p := l.decide(); p.DeleteJob != nil {
				delete(l.jobs, 1)
				l.decide()
			}
			l.wantReason(v1alpha1.ReasonCancelled)
			if got := l.tg.Status.Tasks[0]; got.State != v1alpha1.TaskCancelled || got.Reason != "" {
				t.Errorf("the task that was to run again is %+v", got)
			}
		})
	}
}

// TestUncommittedAttempts are those after the newest manifest that may have left
// checkpoints.
func TestUncommittedAttempts(t *testing.T) {
	jobs := []v1alpha1.JobReference{{Attempt: 1}, {Attempt: 2, ManifestSHA256: digest}, {Attempt: 3}, {Attempt: 4}}
	tests := map[string]struct {
		group *testkit.TaskGroupBuilder
		next  int32
		want  []int32
	}{
		"after the manifest":      {testkit.TaskGroup("g").Commands(3).Outputs("file:///out"), 5, []int32{3, 4}},
		"of an active attempt":    {testkit.TaskGroup("g").Commands(3).Outputs("file:///out"), 4, []int32{3}},
		"right after a manifest":  {testkit.TaskGroup("g").Commands(3).Outputs("file:///out"), 3, nil},
		"before a manifest":       {testkit.TaskGroup("g").Commands(3).Outputs("file:///out"), 2, []int32{1}},
		"one task":                {testkit.TaskGroup("g").Commands(1).Outputs("file:///out"), 5, nil},
		"no location for results": {testkit.TaskGroup("g").Commands(3), 5, nil},
		"Parallel":                {testkit.TaskGroup("g").Commands(3).Outputs("file:///out").Parallel(), 5, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tg := test.group.Status(&v1alpha1.TaskGroupStatus{Jobs: jobs}).Obj()
			if diff := cmp.Diff(test.want, plan.AttemptOf(tg, test.next).Uncommitted); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRetryOfARecordedFailure: the runner states that no attempt can succeed, or that
// the tasks and their inputs are not the cause.
func TestRetryOfARecordedFailure(t *testing.T) {
	tests := map[string]struct {
		reason contract.Reason
		retry  contract.RetryClass
		// want is what the retry spends; nil if the group fails.
		want *v1alpha1.RetryCounts
	}{
		"a store that refuses":           {contract.ReasonOutputUploadFailed, contract.RetryNever, nil},
		"a store that is unavailable":    {contract.ReasonOutputUploadFailed, "", &v1alpha1.RetryCounts{Infrastructure: 1}},
		"an input that is unavailable":   {contract.ReasonInputUnavailable, contract.RetryInfrastructure, &v1alpha1.RetryCounts{Infrastructure: 1}},
		"an input that does not exist":   {contract.ReasonInputUnavailable, "", nil},
		"a class of a later release":     {contract.ReasonOutputUploadFailed, "whatever", &v1alpha1.RetryCounts{Infrastructure: 1}},
		"an exception that never passes": {contract.ReasonTaskError, contract.RetryNever, nil},
	}
	for name, test := range tests {
		for kind, group := range map[string]*testkit.TaskGroupBuilder{
			"Sequential": testkit.TaskGroup("g").Commands(1), "Parallel": testkit.TaskGroup("g").Commands(1).Parallel(),
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				l := newLife(t, group.Retries(0, 3).Obj())
				l.begin(1)
				message := record(t, "F", &contract.Failure{Reason: test.reason, Message: "m", Retry: test.retry})
				pod := testkit.Pod(l.jobs[1])
				if kind == "Parallel" {
					pod.Index(0, "0")
				}
				l.end(1, pod.Ended(1, "Error", message).Obj())
				l.decide()
				if test.want == nil {
					l.wantReason(v1alpha1.Reason(test.reason))
					return
				}
				l.wantReason(v1alpha1.ReasonRetrying)
				got := l.tg.Status.Retries
				if kind == "Parallel" {
					got = l.tg.Status.Tasks[0].Retries
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("spent (-want +got):\n%s", diff)
				}
			})
		}
	}
}

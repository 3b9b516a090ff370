// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// script turns bytes into choices; when they run out, it always chooses the first.
type script struct{ bytes []byte }

func (s *script) choose(n int) int {
	if len(s.bytes) == 0 {
		return 0
	}
	choice := int(s.bytes[0]) % n
	s.bytes = s.bytes[1:]
	return choice
}

// FuzzDecide plays a group of one to three tasks in a world in which pods, Jobs and
// users do what they may do, in any order, while the operator restarts at any time.
// The rules are checked at every step (world_rules_test.go). At the end the faults
// stop, and the group must finish.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{})
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		choices := make([]byte, 400)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		playLife(t, choices)
	})
}

// playLife plays one group from its creation to its result.
func playLife(t *testing.T, choices []byte) {
	t.Helper()
	s := &script{choices}
	w := newWorld(t, s, fuzzedGroup(s))
	if s.choose(3) == 1 {
		w.tg.Spec.Parallelism = new(int32(1))
	}
	for range 40 {
		w.event()
		w.passes(true)
		w.now = w.now.Add(time.Duration(s.choose(60)*s.choose(10)) * time.Second)
	}
	w.calm()
	w.requireFinal()
}

// FuzzDecideArbitrary shows a group of one to three tasks objects of any kind in any
// order, including those that no cluster would have. Nothing panics, what was
// observed is not changed, the order of the pods has no effect, the result is final,
// and counters never decrease.
func FuzzDecideArbitrary(f *testing.F) {
	f.Add([]byte{}, "")
	f.Add([]byte{1, 2, 1, 3, 4, 1, 5, 2, 9, 1, 1, 7, 3, 3, 3}, `{"v":1,"states":"CF"}`)
	f.Add([]byte{7, 1, 6, 5, 4, 3, 2, 1, 0, 9, 8, 7}, `{"v":1,"states":"F","failure":{"reason":"x y","message":"\u0000"}}`)
	// Short inputs run out of choices; these do not.
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		choices := make([]byte, 250)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices, `{"v":1,"states":"C"}`)
	}
	f.Fuzz(func(t *testing.T, choices []byte, message string) {
		s := &script{choices}
		l := newLife(t, fuzzedGroup(s))
		for range 12 {
			fuzzedNews(s, l, message)
			before := l.tg.Status.DeepCopy()
			fuzzedStep(t, s, l)
			requireMonotone(t, before, &l.tg.Status)
			l.now = l.now.Add(time.Duration(s.choose(400)) * time.Second)
		}
	})
}

func fuzzedGroup(s *script) *v1alpha1.TaskGroup {
	b := testkit.TaskGroup("g").Commands(1+s.choose(3)).Retries(int32(s.choose(3)), int32(s.choose(3)))
	if s.choose(2) == 1 {
		b.Parallel()
	}
	if s.choose(2) == 1 {
		b.Outputs("file:///out")
	}
	if s.choose(2) == 1 {
		b.Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30)), StartingSeconds: new(int64(30))})
	}
	return b.Suspended(s.choose(4) == 1).Obj()
}

// fuzzedNews changes the Job, the pods or the spec.
func fuzzedNews(s *script, l *life, message string) {
	attempt := plan.CurrentAttempt(&l.tg.Status)
	job := l.jobs[attempt]
	switch s.choose(9) {
	case 0:
		l.jobs[attempt] = testkit.JobOfAttempt(l.tg, attempt).Obj()
	case 1:
		delete(l.jobs, attempt)
	case 2:
		delete(l.jobs, attempt-1)
	case 3:
		l.tg.Spec.Suspend = !l.tg.Spec.Suspend
	case 4:
		l.tg.Spec.Cancel = true
	case 5:
		l.pods = slices.DeleteFunc(l.pods, func(*corev1.Pod) bool { return s.choose(2) == 1 })
	}
	if job == nil {
		return
	}
	switch s.choose(6) {
	case 1:
		l.jobs[attempt] = testkit.JobOfAttempt(l.tg, attempt).Deleting(time.Duration(s.choose(20)) * time.Second).Obj()
	case 2:
		l.jobs[attempt] = testkit.JobOfAttempt(l.tg, attempt).Condition(batchv1.JobComplete, "", "").Obj()
	case 3:
		l.jobs[attempt] = testkit.JobOfAttempt(l.tg, attempt).Condition(batchv1.JobFailed, "r", "m").Obj()
	case 4, 5:
		pod := fuzzedPod(s, job, message)
		// The API server has one pod of a name.
		if !slices.ContainsFunc(l.pods, func(known *corev1.Pod) bool { return known.Name == pod.Name }) {
			l.pods = append(l.pods, pod)
		}
	}
}

func fuzzedPod(s *script, job *batchv1.Job, message string) *corev1.Pod {
	b := testkit.Pod(job).Named(job.Name+"-"+strconv.Itoa(s.choose(256))).Index(s.choose(4), []string{"", "0", "2,1", "x"}[s.choose(4)])
	switch s.choose(9) {
	case 1:
		b.Running()
	case 2:
		b.Waiting([]string{"ErrImagePull", "InvalidImageName", "?"}[s.choose(3)], message)
	case 3:
		b.Unplaced("Unschedulable", message)
	case 4:
		b.Ended(int32(s.choose(2)), "Completed", message)
	case 5:
		b.Ended(int32(s.choose(2)), "OOMKilled", []string{`{"v":1,"states":"C"}`, `{"v":1,"states":"CC"}`, `{"v":1,"states":"CFX"}`}[s.choose(3)])
	case 6:
		b.Refused("Evicted", message)
	case 7:
		b.Ended(143, "Error", message).Disrupted("PreemptionByScheduler", message)
	case 8:
		b.Running().Orphaned()
	}
	return b.Obj()
}

// fuzzedStep decides twice on the same news, the second time with the pods in
// another order, and stores the status.
func fuzzedStep(t *testing.T, s *script, l *life) {
	t.Helper()
	attempt := plan.CurrentAttempt(&l.tg.Status)
	o := observe(l.tg, l.jobs[attempt], l.pods...)
	o.Attempt, o.JobName = attempt, jobspec.JobName(l.tg.Name, l.tg.UID, attempt)
	if last := plan.LastJob(&l.tg.Status); last != nil && last.Reason == "" {
		o.JobUID = last.UID
	} else if last != nil {
		o.Previous = l.jobs[last.Attempt]
	}
	before := l.tg.DeepCopy()
	first := plan.Decide(o, l.now)
	if diff := cmp.Diff(before, o.TaskGroup); diff != "" {
		t.Fatalf("Decide changed what it observed:\n%s", diff)
	}
	slices.Reverse(o.Pods)
	if again := plan.Decide(o, l.now); !cmp.Equal(first, again) {
		t.Fatalf("the same news, and another plan:\n%s", cmp.Diff(first, again))
	}
	if before.Status.IsFinished() && (first.CreateJob || first.DeleteJob != nil || first.Status != nil) {
		t.Fatalf("a group that has ended is touched: %+v", first)
	}
	if first.CreateJob && o.Job != nil {
		t.Fatal("a second Job for one attempt (I1)")
	}
	if first.CreateJob && o.Previous != nil && len(o.Previous.Status.Conditions) == 0 {
		t.Fatal("a Job while the former one is live (I2)")
	}
	if first.Status == nil {
		return
	}
	if first.Status.IsFinished() {
		for _, pod := range l.pods {
			if !plan.PodEnded(pod) && first.Status.Reason() != v1alpha1.ReasonNameConflict {
				t.Fatalf("the group is %s while pod %s lives (I5)", first.Status.Reason(), pod.Name)
			}
		}
		for _, task := range first.Status.Tasks {
			if !contract.TaskState(task.State).IsTerminal() {
				t.Fatalf("the group has ended and task %d is %s", task.NodeID, task.State)
			}
			if first.Status.Reason() == v1alpha1.ReasonCompleted && task.State != v1alpha1.TaskCompleted {
				t.Fatalf("the group is Completed and task %d is %s (I9)", task.NodeID, task.State)
			}
		}
	}
	if raw, err := json.Marshal(first.Status); err != nil || len(raw) > 64<<10 {
		t.Fatalf("the status is %d bytes, %v", len(raw), err)
	}
	l.tg = l.tg.DeepCopy()
	l.tg.Status = *first.Status
}

func requireMonotone(t *testing.T, before, after *v1alpha1.TaskGroupStatus) {
	t.Helper()
	if after.Attempt < before.Attempt || after.ObservedGeneration < before.ObservedGeneration {
		t.Fatalf("attempt or generation went back (I17): %+v, %+v", before, after)
	}
	if before.Retries != nil && (after.Retries == nil || after.Retries.User < before.Retries.User || after.Retries.Infrastructure < before.Retries.Infrastructure) {
		t.Fatalf("a budget was given back (I22): %+v, %+v", before.Retries, after.Retries)
	}
	if after.CompletionTime != nil && after.StartTime != nil && after.CompletionTime.Before(after.StartTime) {
		t.Fatalf("it ended before it began (I17): %v, %v", after.StartTime, after.CompletionTime)
	}
	if before.IsFinished() {
		if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(v1alpha1.TaskGroupStatus{}, "ObservedGeneration")); diff != "" {
			t.Fatalf("the final status changed (I6):\n%s", diff)
		}
	}
}

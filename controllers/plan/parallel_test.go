// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

const digest43 = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s"

func TestParallelProgress(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(3).Parallel().Outputs("file:///out").Obj()
	job := testkit.Job(tg).Obj()
	done := testkit.Pod(job).Index(0, "").Ended(0, "Completed", record(t, "C", nil)).Obj()
	p := plan.Decide(observe(tg, job, done, testkit.Pod(job).Index(1, "").Running().Obj(), testkit.Pod(job).Index(2, "").Obj()), now)
	want := outcome{Reason: v1alpha1.ReasonRunning, Message: "1 running, 1 waiting: Pod " + job.Name + "-x-2 is being prepared on node node-1", Done: "1/3", States: "CRP"}
	if diff := cmp.Diff(want, outcomeOf(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := p.Status.Tasks[0]; got.Digest != digest43 {
		t.Errorf("the completed task is %+v", got)
	}
}

// TestParallelEnds: a task that fails does not keep the others from their end.
func TestParallelEnds(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(3).Parallel().Obj()
	job := testkit.Job(tg).Obj()
	completed := func(i int) *corev1.Pod {
		return testkit.Pod(job).Index(i, "").Ended(0, "Completed", record(t, "C", nil)).Obj()
	}
	broken := func(i int) *corev1.Pod {
		node := contract.NodeID(i)
		return testkit.Pod(job).Index(i, "").Ended(1, "Error", record(t, "F", &contract.Failure{NodeID: &node, Reason: contract.ReasonTaskError, Message: "boom"})).Obj()
	}
	complete := testkit.Job(tg).Condition(batchv1.JobComplete, "", "").Obj()
	cases := map[string]struct {
		job  *batchv1.Job
		pods []*corev1.Pod
		want outcome
	}{
		"all completed": {job, []*corev1.Pod{completed(0), completed(1), completed(2)},
			outcome{Reason: v1alpha1.ReasonCompleted, Message: "All 3 tasks completed", Done: "3/3", States: "CCC", Terminal: true}},
		"one failed": {job, []*corev1.Pod{completed(0), broken(1), completed(2)},
			outcome{Reason: v1alpha1.ReasonTaskError, Message: "Task 1: boom", Done: "2/3", States: "CFC", Terminal: true}},
		"two failed": {job, []*corev1.Pod{broken(0), broken(1), completed(2)},
			outcome{Reason: v1alpha1.ReasonTaskError, Message: "2 of 3 tasks failed; the first: Task 0: boom", Done: "1/3", States: "FFC", Terminal: true}},
		"one failed while one runs": {job, []*corev1.Pod{broken(0), completed(1), testkit.Pod(job).Index(2, "").Running().Obj()},
			outcome{Reason: v1alpha1.ReasonRunning, Message: "1 running", Done: "1/3", States: "FCR"}},
		"a pod that is gone from a complete Job": {complete, []*corev1.Pod{completed(0), completed(2)},
			outcome{Reason: v1alpha1.ReasonCompleted, Message: "All 3 tasks completed; the pod was deleted before its termination message was read", Done: "3/3", States: "CCC", Terminal: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, outcomeOf(plan.Decide(observe(tg, tc.job, tc.pods...), now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestParallelRetriesWhatFailed runs only the failed task again, under the first
// index of the second attempt.
func TestParallelRetriesWhatFailed(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(3).Parallel().Outputs("file:///out").Retries(1, 0).Obj())
	l.begin(1)
	l.pods = nil
	for i, states := range []string{"C", "F", "C"} {
		pod := testkit.Pod(l.jobs[1]).Index(i, "").Ended(map[string]int32{"C": 0, "F": 1}[states], "x", failedUnless(t, states)).Obj()
		l.pods = append(l.pods, pod)
	}
	l.jobs[1].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	if got := l.tg.Status.Summary; got != "2/3" {
		t.Errorf("done %s", got)
	}
	l.now = l.now.Add(time.Minute)
	l.begin(2)
	attempt := plan.AttemptOf(l.tg, 2)
	if tasks := attempt.Tasks(l.tg); len(tasks) != 1 || tasks[0].NodeID != 1 {
		t.Fatalf("the second attempt runs %+v", tasks)
	}
	l.pods[len(l.pods)-1] = testkit.Pod(l.jobs[2]).Index(0, "1").Ended(0, "Completed", record(t, "C", nil)).Obj()
	l.decide()
	l.wantReason(v1alpha1.ReasonCompleted)
	for i, want := range []int32{1, 2, 1} {
		if got := l.tg.Status.Tasks[i]; got.Attempt != want || got.Digest != digest43 {
			t.Errorf("task %d comes from attempt %d with digest %s, want attempt %d", i, got.Attempt, got.Digest, want)
		}
	}
}

func failedUnless(t *testing.T, states string) string {
	t.Helper()
	if states == "C" {
		return record(t, "C", nil)
	}
	return failed(t, states)
}

func TestParallelCancelKeepsWhatCompleted(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Obj())
	l.begin(1)
	l.pods = []*corev1.Pod{
		testkit.Pod(l.jobs[1]).Index(0, "").Ended(0, "Completed", record(t, "C", nil)).Obj(),
		testkit.Pod(l.jobs[1]).Index(1, "").Running().Obj(),
	}
	l.decide()
	l.tg.Spec.Cancel = true
	if p := l.decide(); p.DeleteJob == nil {
		t.Fatal("the Job is not deleted")
	}
	delete(l.jobs, 1)
	l.pods = nil
	l.decide()
	l.wantReason(v1alpha1.ReasonCancelled)
	if got := l.tg.Status.Summary; got != "1/2" {
		t.Errorf("done %s", got)
	}
}

// TestParallelCancelOfPodsWithoutRecord: a pod that was deleted before it started, or
// killed after its grace period, did not fail; a pod that was OOM-killed before did.
func TestParallelCancelOfPodsWithoutRecord(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(3).Parallel().Obj())
	l.begin(1)
	deleted := metav1.NewTime(testkit.Created.Add(time.Second))
	l.pods = []*corev1.Pod{
		testkit.Pod(l.jobs[1]).Index(0, "").Ended(137, "ContainerStatusUnknown", "").Obj(),
		testkit.Pod(l.jobs[1]).Index(1, "").Ended(137, "Error", "").Obj(),
		testkit.Pod(l.jobs[1]).Index(2, "").Ended(137, "OOMKilled", "").Obj(),
	}
	l.pods[0].DeletionTimestamp, l.pods[1].DeletionTimestamp = &deleted, &deleted
	l.tg.Spec.Cancel = true
	l.jobs[1].DeletionTimestamp = &deleted
	l.decide()
	l.wantReason(v1alpha1.ReasonCancelling)
	delete(l.jobs, 1)
	l.pods = nil
	l.decide()
	l.wantReason(v1alpha1.ReasonCancelled)
	for i, want := range []v1alpha1.TaskState{v1alpha1.TaskCancelled, v1alpha1.TaskCancelled, v1alpha1.TaskFailed} {
		if got := l.tg.Status.Tasks[i].State; got != want {
			t.Errorf("task %d is %s, want %s", i, got, want)
		}
	}
}

func TestParallelSuspendResumesWhatIsLeft(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Obj())
	l.begin(1)
	l.pods = []*corev1.Pod{
		testkit.Pod(l.jobs[1]).Index(0, "").Ended(0, "Completed", record(t, "C", nil)).Obj(),
		testkit.Pod(l.jobs[1]).Index(1, "").Running().Obj(),
	}
	l.tg.Spec.Suspend = true
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspending)
	if p := l.decide(); p.DeleteJob == nil {
		l.decide()
	}
	l.pods[1] = testkit.Pod(l.jobs[1]).Index(1, "").Ended(143, "Error", record(t, "X", &contract.Failure{Reason: contract.ReasonTerminated})).Obj()
	l.decide()
	delete(l.jobs, 1)
	l.decide()
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspended)
	l.tg.Spec.Suspend = false
	l.begin(2)
	attempt := plan.AttemptOf(l.tg, 2)
	if tasks := attempt.Tasks(l.tg); len(tasks) != 1 || tasks[0].NodeID != 1 {
		t.Errorf("the second attempt runs %+v", tasks)
	}
}

// TestParallelStatusIsBounded is the largest status there can be.
func TestParallelStatusIsBounded(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(256).Parallel().Outputs("file:///out").Obj()
	job := testkit.Job(tg).Condition(batchv1.JobFailed, "x", "y").Obj()
	o := observe(tg, job)
	code := int32(139)
	for i := range 256 {
		node := contract.NodeID(i)
		o.Pods = append(o.Pods, testkit.Pod(job).Index(i, "").Ended(1, "Error", record(t, "F", &contract.Failure{
			NodeID: &node, Reason: contract.ReasonPythonVersionMismatch, Message: string(make([]byte, 1000)) + "x", ExitCode: &code,
		})).Obj())
	}
	p := plan.Decide(o, now)
	raw, err := json.Marshal(p.Status)
	if err != nil {
		t.Fatal(err)
	}
	if limit := 32 << 10; len(raw) > limit {
		t.Errorf("the status is %d bytes, at most %d", len(raw), limit)
	}
	if got := outcomeOf(p); !got.Terminal || got.Done != "0/256" {
		t.Errorf("got %s, done %s", got.Reason, got.Done)
	}
}

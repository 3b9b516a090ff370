// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

var (
	now    = testkit.Created.Add(time.Minute)
	digest = strings.Repeat("ab", 32)
)

// observe is what a pass loads for a group; job may be nil. Start errors were first
// observed when the pod was created.
func observe(tg *v1alpha1.TaskGroup, job *batchv1.Job, pods ...*corev1.Pod) *plan.Observed {
	o := &plan.Observed{TaskGroup: tg, Attempt: 1, JobName: jobspec.JobName(tg.Name, tg.UID, 1), Job: job, Pods: pods}
	o.ErrorSince = map[types.UID]time.Time{}
	for _, pod := range pods {
		o.ErrorSince[pod.UID] = pod.CreationTimestamp.Time
	}
	if uri := jobspec.AttemptURI(tg, 1); uri != "" {
		o.ManifestURI = contract.ManifestURI(uri)
	}
	return o
}

// known reports that the Job was created before.
func known(o *plan.Observed, uid types.UID) *plan.Observed {
	o.JobUID = uid
	return o
}

func record(t *testing.T, states string, failure *contract.Failure) string {
	t.Helper()
	m := contract.TerminationMessage{Failure: failure, ManifestSHA256: digest}
	for _, letter := range states {
		m.States = append(m.States, map[rune]contract.TaskState{
			'C': contract.TaskCompleted, 'F': contract.TaskFailed, 'X': contract.TaskCancelled, 'P': contract.TaskPending,
		}[letter])
	}
	raw, err := contract.EncodeTerminationMessage(&m)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// unread stands for the digest of a manifest that was not read.
const unread = "unread"

// outcome is the part of a plan that the tables compare.
type outcome struct {
	Create  bool
	Delete  types.UID
	Reason  v1alpha1.Reason
	Message string
	Done    string
	States  string
	// Manifest is its digest, or unread where it is named without one; empty for none.
	Manifest string
	Terminal bool
	Requeue  time.Duration
}

func outcomeOf(p plan.Plan) outcome {
	got := outcome{Create: p.CreateJob, Requeue: p.RequeueAfter}
	if p.DeleteJob != nil {
		got.Delete = p.DeleteJob.UID
	}
	if p.Status == nil {
		return got
	}
	got.Reason = p.Status.Reason()
	got.Message = p.Status.Condition(v1alpha1.ConditionSucceeded).Message
	got.Done = p.Status.Summary
	got.Terminal = p.Status.IsFinished()
	for _, task := range p.Status.Tasks {
		got.States += string(contract.TaskState(task.State).Letter())
	}
	if p.Status.Manifest != nil {
		if got.Manifest = p.Status.Manifest.SHA256; got.Manifest == "" {
			got.Manifest = unread
		}
	}
	return got
}

func TestDecideProgress(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Obj()
	job := testkit.Job(tg).Obj()
	fresh := testkit.Created.Add(500 * time.Millisecond)
	moment := outcome{Requeue: plan.StartingGrace - 500*time.Millisecond}
	cases := map[string]struct {
		observed *plan.Observed
		now      time.Time
		want     outcome
	}{
		"a new group gets a Job": {
			observed: observe(tg, nil), now: now,
			want: outcome{Create: true},
		},
		"a group that is being deleted is left alone": {
			observed: observe(testkit.TaskGroup("g").Commands(2).Deleting().Obj(), nil), now: now,
			want: outcome{},
		},
		"a Job of the same name and another owner ends the group": {
			observed: observe(tg, testkit.Job(tg).Foreign().Obj()), now: now,
			want: outcome{Reason: v1alpha1.ReasonNameConflict, Terminal: true, Done: "0/2", States: "FF",
				Message: "Job " + job.Name + " exists and does not belong to this TaskGroup: delete that Job, then recreate the TaskGroup"},
		},
		"a fresh Job is given a moment": {
			observed: observe(tg, job), now: fresh,
			want: moment,
		},
		"a clock that is behind the API server's waits no longer than the moment": {
			observed: observe(tg, job), now: testkit.Created.Add(-time.Hour),
			want: outcome{Requeue: plan.StartingGrace},
		},
		"a Job without a pod says so": {
			observed: observe(tg, job), now: now,
			want: outcome{Reason: v1alpha1.ReasonQueued, Done: "0/2", States: "PP", Message: "Job " + job.Name + " has no pod yet: see kubectl describe job " + job.Name},
		},
		"an image that cannot be pulled is named": {
			observed: observe(tg, job, testkit.Pod(job).Waiting("ErrImagePull", "no such image x").Obj()), now: now,
			want: outcome{Reason: v1alpha1.ReasonStarting, Done: "0/2", States: "PP", Requeue: 4 * time.Minute,
				Message: "Pod " + job.Name + "-x waits: ErrImagePull: no such image x"},
		},
		"a pod without a node says why": {
			observed: observe(tg, job, testkit.Pod(job).Unplaced("Unschedulable", "0/1 nodes are available").Obj()), now: now,
			want: outcome{Reason: v1alpha1.ReasonQueued, Done: "0/2", States: "PP",
				Message: "Pod " + job.Name + "-x is not scheduled: Unschedulable: 0/1 nodes are available"},
		},
		"a pod whose node is silent changes nothing": {
			observed: observe(tg, job, func() *corev1.Pod {
				pod := testkit.Pod(job).Obj()
				pod.Status.Phase = corev1.PodUnknown
				return pod
			}()), now: now,
			want: outcome{},
		},
		"a pod that runs is Running at once": {
			observed: observe(tg, job, testkit.Pod(job).Running().Obj()), now: fresh,
			want: outcome{Reason: v1alpha1.ReasonRunning, Done: "0/2", States: "RR", Message: "Pod " + job.Name + "-x runs on node node-1"},
		},
		"a pod of another Job tells nothing": {
			observed: observe(tg, job, testkit.Pod(testkit.Job(testkit.TaskGroup("other").Obj()).Obj()).Ended(0, "Completed", "").Obj()), now: fresh,
			want: moment,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, outcomeOf(plan.Decide(tc.observed, tc.now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideEnds(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Obj()
	job := testkit.Job(tg).Obj()
	node := contract.NodeID(1)
	code := int32(3)
	taskError := &contract.Failure{NodeID: &node, Reason: contract.ReasonTaskError, Message: "ValueError: boom"}
	cases := map[string]struct {
		pods []*corev1.Pod
		job  *batchv1.Job
		want outcome
	}{
		"all tasks completed": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(0, "Completed", record(t, "CC", nil)).Obj()},
			want: outcome{Reason: v1alpha1.ReasonCompleted, Message: "All 2 tasks completed", Done: "2/2", States: "CC", Manifest: digest, Terminal: true},
		},
		"a live pod keeps the end back": {
			pods: []*corev1.Pod{
				testkit.Pod(job).Ended(0, "Completed", record(t, "CC", nil)).Obj(),
				testkit.Pod(job).Named("orphan").Orphaned().Running().Obj(),
			},
			want: outcome{},
		},
		"an exception in the second task": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(1, "Error", record(t, "CF", taskError)).Obj()},
			want: outcome{Reason: v1alpha1.ReasonTaskError, Message: "Task 1: ValueError: boom", Done: "1/2", States: "CF", Manifest: digest, Terminal: true},
		},
		"an exit code": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(1, "Error", record(t, "CF", &contract.Failure{NodeID: &node, Reason: contract.ReasonExitCode, Message: "exit code 3", ExitCode: &code})).Obj()},
			want: outcome{Reason: v1alpha1.ReasonExitCode, Message: "Task 1: exit code 3", Done: "1/2", States: "CF", Manifest: digest, Terminal: true},
		},
		"a message of many lines, and of a terminal's commands": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(1, "Error", record(t, "CF", &contract.Failure{NodeID: &node, Reason: contract.ReasonTaskError, Message: "böse\r\n\x1b[31mrot\x00"})).Obj()},
			want: outcome{Reason: v1alpha1.ReasonTaskError, Message: "Task 1: böse [31mrot", Done: "1/2", States: "CF", Manifest: digest, Terminal: true},
		},
		"a forged reason is not passed on": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(1, "Error", record(t, "CF", &contract.Failure{Reason: "not a word!", Message: "x"})).Obj()},
			want: outcome{Reason: v1alpha1.ReasonUnknown, Message: "x", Done: "1/2", States: "CF", Manifest: digest, Terminal: true},
		},
		"success without a record is not believed": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(0, "Completed", "done!").Obj()},
			want: outcome{Reason: v1alpha1.ReasonUnknown, Done: "0/2", States: "FF", Terminal: true,
				Message: "The container of pod " + job.Name + "-x terminated with exit code 0 without reporting a result: it was not the runner that terminated it"},
		},
		"success with an unfinished task is not believed": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(0, "Completed", record(t, "CX", nil)).Obj()},
			want: outcome{Reason: v1alpha1.ReasonUnknown, Done: "1/2", States: "CX", Manifest: digest, Terminal: true,
				Message: "Pod " + job.Name + "-x succeeded, but task 2 of 2 is CANCELLED according to its termination message"},
		},
		"success without a manifest is a failed upload": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(0, "Completed", `{"v":1,"states":"CC"}`).Obj()},
			want: outcome{Reason: v1alpha1.ReasonOutputUploadFailed, Done: "0/2", States: "FF", Terminal: true,
				Message: "Pod " + job.Name + "-x succeeded without committing a manifest at file:///out/uid-of-g/a1/manifest.json"},
		},
		"an OOM kill of the whole container": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(137, "OOMKilled", "").MemoryLimit("64Mi").Obj()},
			want: outcome{Reason: v1alpha1.ReasonOOMKilled, Done: "0/2", States: "FF", Terminal: true,
				Message: "OOM-killed: the container reached its memory limit of 64Mi: raise spec.pod.resources.limits.memory, or set spec.retries.limit and spec.retries.oomMemoryFactor"},
		},
		"an eviction, whatever the container says": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(143, "Error", record(t, "CX", nil)).Disrupted("EvictionByEvictionAPI", "drained").Obj()},
			want: outcome{Reason: v1alpha1.ReasonEvicted, Done: "1/2", States: "CX", Manifest: digest, Terminal: true,
				Message: "Pod " + job.Name + "-x was disrupted: EvictionByEvictionAPI: drained"},
		},
		"a pod that the kubelet refused": {
			pods: []*corev1.Pod{testkit.Pod(job).Refused("Evicted", "The node was low on memory").Obj()},
			want: outcome{Reason: v1alpha1.ReasonEvicted, Done: "0/2", States: "FF", Terminal: true,
				Message: "Pod " + job.Name + "-x was terminated by its node: Evicted: The node was low on memory"},
		},
		"an end without a word": {
			pods: []*corev1.Pod{testkit.Pod(job).Ended(2, "Error", "").Obj()},
			want: outcome{Reason: v1alpha1.ReasonUnknown, Done: "0/2", States: "FF", Terminal: true,
				Message: "The container of pod " + job.Name + "-x terminated with exit code 2 (Error) without reporting a result: see kubectl logs " + job.Name + "-x"},
		},
		"a complete Job whose pod is gone": {
			job:  testkit.Job(tg).Condition(batchv1.JobComplete, "", "").Obj(),
			want: outcome{Reason: v1alpha1.ReasonCompleted, Done: "2/2", States: "CC", Manifest: unread, Terminal: true, Message: "All 2 tasks completed; the pod was deleted before its termination message was read"},
		},
		"a failed Job whose pod is gone": {
			job: testkit.Job(tg).Condition(batchv1.JobFailed, "BackoffLimitExceeded", "limit reached").Obj(),
			want: outcome{Reason: v1alpha1.ReasonUnknown, Done: "0/2", States: "FF", Terminal: true,
				Message: "The pod of Job " + job.Name + " was deleted before its result was read; the Job reports: BackoffLimitExceeded: limit reached"},
		},
		"a Job past its deadline": {
			job:  testkit.Job(tg).Condition(batchv1.JobFailed, batchv1.JobReasonDeadlineExceeded, "was active longer than specified").Obj(),
			want: outcome{Reason: v1alpha1.ReasonDeadlineExceeded, Done: "0/2", States: "FF", Terminal: true, Message: "was active longer than specified"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.job == nil {
				tc.job = job
			}
			if diff := cmp.Diff(tc.want, outcomeOf(plan.Decide(observe(tg, tc.job, tc.pods...), now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestConditionsOfAnEnd are what kubectl wait and tools that know kstatus rely on.
func TestConditionsOfAnEnd(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	cases := map[string]struct {
		pod                                       *corev1.Pod
		succeeded, finished, reconciling, stalled string
	}{
		"running":   {testkit.Pod(job).Running().Obj(), "Unknown", "False", "True", ""},
		"completed": {testkit.Pod(job).Ended(0, "Completed", record(t, "C", nil)).Obj(), "True", "True", "", ""},
		"failed":    {testkit.Pod(job).Ended(1, "Error", "").Obj(), "False", "True", "", "True"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := plan.Decide(observe(tg, job, tc.pod), now)
			for condition, want := range map[v1alpha1.ConditionType]string{
				v1alpha1.ConditionSucceeded: tc.succeeded, v1alpha1.ConditionFinished: tc.finished,
				v1alpha1.ConditionReconciling: tc.reconciling, v1alpha1.ConditionStalled: tc.stalled,
			} {
				got := ""
				if c := p.Status.Condition(condition); c != nil {
					got = string(c.Status)
				}
				if got != want {
					t.Errorf("%s is %q, want %q", condition, got, want)
				}
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestPodsThatTheKubeletTerminated maps the reasons of a kubelet. An eviction for a
// limit of the pod itself is not retried: another node would evict the pod as well.
func TestPodsThatTheKubeletTerminated(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, message string
		want            v1alpha1.Reason
		retried         bool
	}{
		"the node is low on memory":       {"Evicted", "The node was low on resource: memory.", v1alpha1.ReasonEvicted, true},
		"the pod's own ephemeral storage": {"Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", v1alpha1.ReasonEvicted, false},
		"the container's own storage":     {"Evicted", `Container tasks exceeded its local ephemeral storage limit "1Gi". `, v1alpha1.ReasonEvicted, false},
		"the size limit of an emptyDir":   {"Evicted", `Usage of EmptyDir volume "tmp" exceeds the limit "64Mi". `, v1alpha1.ReasonEvicted, false},
		"an extended resource":            {"OutOfnvidia.com/gpu", "Node didn't have enough resource", v1alpha1.ReasonEvicted, true},
		"the topology manager":            {"TopologyAffinityError", "Resources cannot be allocated with Topology locality", v1alpha1.ReasonEvicted, true},
		"a shutdown":                      {"Terminated", "Pod was terminated in response to imminent node shutdown.", v1alpha1.ReasonNodeLost, true},
	} {
		for kind, tg := range map[string]*v1alpha1.TaskGroup{
			"Sequential": testkit.TaskGroup("g").Commands(1).Retries(0, 3).Obj(),
			"Parallel":   testkit.TaskGroup("g").Commands(1).Parallel().Retries(0, 3).Obj(),
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				l := newLife(t, tg)
				l.begin(1)
				l.finishJob(1, testkit.Pod(l.jobs[1]).Index(0, "").Refused(tc.reason, tc.message).Obj())
				l.decide()
				if got := plan.LastJob(&l.tg.Status).Reason; got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
				if retried := !l.tg.Status.IsFinished(); retried != tc.retried {
					t.Errorf("retried %v, want %v", retried, tc.retried)
				}
			})
		}
	}
}

// TestStartError checks that the kubelet's message is shown, that the attempt is not
// repeated, and that a runner that is missing from an image volume is delivered in
// another way.
func TestStartError(t *testing.T) {
	const missing = `exec: "/taskgroup/bin/runner": stat /taskgroup/bin/runner: no such file or directory`
	for name, tc := range map[string]struct {
		delivery, message string
		waiting           bool
		want              v1alpha1.Reason
		fallBack          bool
	}{
		"another architecture":                     {"InitContainer", `exec: "/taskgroup/bin/runner": exec format error`, false, v1alpha1.ReasonContainerConfigError, false},
		"an empty image volume":                    {"ImageVolume", missing, false, v1alpha1.ReasonRetrying, true},
		"an image volume that cannot be mounted":   {"ImageVolume", `failed to mount "/taskgroup/bin"`, true, v1alpha1.ReasonRetrying, true},
		"an init container that installed nothing": {"InitContainer", missing, false, v1alpha1.ReasonContainerConfigError, false},
	} {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Retries(0, 0).Obj()
			job := testkit.Job(tg).Obj()
			pod := testkit.Pod(job).Ended(128, "StartError", tc.message).Obj()
			if tc.waiting {
				pod = testkit.Pod(job).Waiting("CreateContainerError", tc.message).Obj()
			}
			pod.Annotations = map[string]string{v1alpha1.DeliveryAnnotation: tc.delivery}
			p := plan.Decide(known(observe(tg, job, pod), job.UID), testkit.Created.Add(10*time.Second))
			if got := p.Status.Reason(); got != tc.want {
				t.Fatalf("got %s, want %s", got, tc.want)
			}
			if p.SwitchDelivery != tc.fallBack || p.Status.Retries != nil {
				t.Errorf("falls back: %v, want %v; spent %+v", p.SwitchDelivery, tc.fallBack, p.Status.Retries)
			}
			if got := p.Status.Message(); !strings.Contains(got, tc.message) {
				t.Errorf("message %q does not contain the kubelet's", got)
			}
		})
	}
}

// TestQueuePreemption: the queue suspends the Job, whose pod is stopped. However often
// that happens, it spends no budget.
func TestQueuePreemption(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Retries(0, 0).Obj())
	l.tg.Labels = map[string]string{v1alpha1.QueueLabel: "team"}
	for attempt := int32(1); attempt <= 5; attempt++ {
		l.begin(attempt)
		l.decide()
		l.jobs[attempt].Spec.Suspend = new(true)
		l.pods[len(l.pods)-1] = testkit.Pod(l.jobs[attempt]).Ended(143, "Error", record(t, "CX", &contract.Failure{Reason: contract.ReasonTerminated})).Obj()
		l.decide()
		l.wantReason(v1alpha1.ReasonRetrying)
		last := plan.LastJob(&l.tg.Status)
		if last.Reason != v1alpha1.ReasonPreempted || !strings.Contains(last.Message, "queue team") || l.tg.Status.Retries != nil {
			t.Fatalf("attempt %d: %s %q, spent %+v", attempt, last.Reason, last.Message, l.tg.Status.Retries)
		}
		if p := l.decide(); p.DeleteJob == nil {
			t.Fatal("the queue may resume the Job of the old attempt")
		}
		l.jobs[attempt] = nil
		l.now = l.now.Add(time.Hour)
	}
	if previous := plan.AttemptOf(l.tg, 6).Previous; previous == nil {
		t.Error("the next attempt does not resume")
	}
}

// TestQueuePreemptionInParallel runs the interrupted tasks again.
func TestQueuePreemptionInParallel(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Retries(0, 0).Obj())
	l.begin(1)
	l.jobs[1].Spec.Suspend = new(true)
	l.finishJob(1, l.completed(1, 0), l.interrupted(1, 1))
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	l.wantTasks("COMPLETED a1", "PENDING")
}

// TestDeletingTheJobCancelsWhileRetrying is the documented way to cancel, in the one
// phase in which no Job of the group is active.
func TestDeletingTheJobCancelsWhileRetrying(t *testing.T) {
	for name, tc := range map[string]struct {
		stopped bool
		want    v1alpha1.Reason
	}{
		"of an attempt that failed by itself":     {false, v1alpha1.ReasonCancelled},
		"of an attempt that the operator stopped": {true, v1alpha1.ReasonRetrying},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, testkit.TaskGroup("g").Commands(1).Retries(1, 1).Timeouts(v1alpha1.Timeouts{StartingSeconds: new(int64(1))}).Obj())
			l.begin(1)
			if tc.stopped {
				l.pods = []*corev1.Pod{testkit.Pod(l.jobs[1]).Obj()}
			} else {
				l.end(1, testkit.Pod(l.jobs[1]).Ended(1, "Error", failed(t, "F")).Obj())
			}
			l.decide()
			l.wantReason(v1alpha1.ReasonRetrying)
			delete(l.jobs, 1)
			l.pods = nil
			p := l.decide()
			l.wantReason(tc.want)
			if p.CreateJob {
				t.Error("a Job is created")
			}
		})
	}
}

// TestPullErrorsCountFromTheFirst: a pull of an hour and one error.
func TestPullErrorsCountFromTheFirst(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Retries(0, 1).Obj()
	job := testkit.Job(tg).Obj()
	pod := testkit.Pod(job).Placed(testkit.Created).Waiting("ErrImagePull", "connection reset by peer").Obj()
	o := known(observe(tg, job, pod), job.UID)
	first := testkit.Created.Add(time.Hour)
	for name, tc := range map[string]struct {
		since map[types.UID]time.Time
		now   time.Time
		want  v1alpha1.Reason
	}{
		"at the first error":         {nil, first, v1alpha1.ReasonStarting},
		"five minutes later, almost": {map[types.UID]time.Time{pod.UID: first}, first.Add(299 * time.Second), v1alpha1.ReasonStarting},
		"five minutes later":         {map[types.UID]time.Time{pod.UID: first}, first.Add(300 * time.Second), v1alpha1.ReasonRetrying},
	} {
		t.Run(name, func(t *testing.T) {
			o.ErrorSince = tc.since
			p := plan.Decide(o, tc.now)
			if got := p.Status.Reason(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if tc.want == v1alpha1.ReasonRetrying && p.Claim != plan.ClaimPods {
				t.Error("the attempt is closed without a claim about its pods")
			}
		})
	}
}

// TestVolumeErrors are reported from the events of the pod, and bounded.
func TestVolumeErrors(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Retries(0, 1).Obj()
	job := testkit.Job(tg).Obj()
	pod := testkit.Pod(job).Placed(testkit.Created).Waiting("ContainerCreating", "").Obj()
	o := known(observe(tg, job, pod), job.UID)
	o.PodProblems = map[types.UID]string{pod.UID: `FailedMount: secret "no-such-secret" not found`}
	p := plan.Decide(o, testkit.Created.Add(10*time.Second))
	if got := outcomeOf(p); got.Reason != v1alpha1.ReasonStarting || !strings.Contains(got.Message, "no-such-secret") {
		t.Errorf("within the grace period: %+v", got)
	}
	p = plan.Decide(o, testkit.Created.Add(5*time.Minute))
	if last := plan.LastJob(p.Status); last.Reason != v1alpha1.ReasonVolumeMountFailed || p.Status.Retries.Infrastructure != 1 {
		t.Errorf("after the grace period: %+v, spent %+v", last, p.Status.Retries)
	}
}

// TestRefusedPods: a refusal by policy is bounded by default, a full quota is not.
func TestRefusedPods(t *testing.T) {
	for name, tc := range map[string]struct {
		refusal string
		after   time.Duration
		want    v1alpha1.Reason
	}{
		"a policy, in time":      {`pods "x" is forbidden: no PriorityClass with name nosuch was found`, 299 * time.Second, v1alpha1.ReasonQueued},
		"a policy, for too long": {`pods "x" is forbidden: no PriorityClass with name nosuch was found`, 300 * time.Second, v1alpha1.ReasonStopping},
		"a quota":                {"exceeded quota: q", 1000 * time.Hour, v1alpha1.ReasonQueued},
		"a webhook that is down": {`Internal error occurred: failed calling webhook "w"`, 1000 * time.Hour, v1alpha1.ReasonQueued},
	} {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Obj()
			job := testkit.Job(tg).Obj()
			o := known(observe(tg, job), job.UID)
			o.PodRefusal = tc.refusal
			p := plan.Decide(o, testkit.Created.Add(tc.after))
			if got := p.Status.Reason(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestDeletedGroupIsStopped: a finalizer holds the object while its pod runs.
func TestDeletedGroupIsStopped(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Deleting().Obj()
	job := testkit.Job(tg).Obj()
	p := plan.Decide(known(observe(tg, job, testkit.Pod(job).Running().Obj()), job.UID), now)
	if p.DeleteJob == nil || p.DeleteJob.UID != job.UID || p.Status != nil {
		t.Errorf("got %+v, want the deletion of the Job", p)
	}
	if p := plan.Decide(known(observe(tg, testkit.Job(tg).Deleting(0).Obj()), job.UID), now); p.DeleteJob != nil {
		t.Error("the Job is deleted again")
	}
}

// TestCancelOfAJobWithoutOwner: the ownerReference was removed, and the recorded UID and
// the label identify the Job.
func TestCancelOfAJobWithoutOwner(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Cancelled().Obj()
	job := testkit.Job(tg).Foreign().Obj()
	if p := plan.Decide(known(observe(tg, job, testkit.Pod(job).Running().Obj()), job.UID), now); p.DeleteJob == nil {
		t.Errorf("the Job is not deleted: %+v", outcomeOf(p))
	}
	job.Labels = nil
	if p := plan.Decide(known(observe(tg, job, testkit.Pod(job).Running().Obj()), job.UID), now); p.DeleteJob != nil {
		t.Error("a Job without the group's label is deleted")
	}
}

// TestGenerationOfAFinishedGroup: kstatus waits for observedGeneration.
func TestGenerationOfAFinishedGroup(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	tg.Status = *plan.Decide(known(observe(tg, job, testkit.Pod(job).Ended(0, "Completed", record(t, "C", nil)).Obj()), job.UID), now).Status
	if p := plan.Decide(observe(tg, nil), now); p.Status != nil {
		t.Errorf("an unchanged group is written: %+v", p.Status)
	}
	tg.Generation = 2
	p := plan.Decide(observe(tg, nil), now)
	if p.Status == nil || p.Status.ObservedGeneration != 2 || p.Status.Reason() != v1alpha1.ReasonCompleted {
		t.Errorf("got %+v", p.Status)
	}
}

// TestResumesAfterManyAttempts: the newest manifest outlives 32 attempts without one.
func TestResumesAfterManyAttempts(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Retries(0, 100).Obj())
	for attempt := int32(1); attempt <= 40; attempt++ {
		l.begin(attempt)
		pod := testkit.Pod(l.jobs[attempt]).Refused("Evicted", "disk").Obj()
		if attempt == 1 {
			pod = testkit.Pod(l.jobs[1]).Ended(143, "Error", record(t, "CX", &contract.Failure{Reason: contract.ReasonTerminated})).Obj()
		}
		l.end(attempt, pod)
		l.decide()
		l.wantReason(v1alpha1.ReasonRetrying)
		l.now = l.now.Add(time.Hour)
	}
	if got := len(l.tg.Status.Jobs); got != 32 {
		t.Errorf("%d attempts in the status, want 32", got)
	}
	previous := plan.AttemptOf(l.tg, 41).Previous
	if previous == nil || previous.URI != "file:///out/uid-of-g/a1/manifest.json" {
		t.Errorf("the next attempt resumes from %+v", previous)
	}
	if got := l.tg.Status.Summary; got != "1/2" {
		t.Errorf("done %s, want 1/2", got)
	}
}

// TestPodWithoutSIGTERM: the Job was deleted and the garbage collector does nothing.
func TestPodWithoutSIGTERM(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Cancelled().Obj()
	job := testkit.Job(tg).Deleting(0).Obj()
	o := known(observe(tg, job, testkit.Pod(job).Running().Obj()), job.UID)
	if got := outcomeOf(plan.Decide(o, testkit.Created.Add(9*time.Second))); got.Message != "Its Job is being deleted" || got.Requeue != time.Second {
		t.Errorf("within the grace period: %+v", got)
	}
	if got := outcomeOf(plan.Decide(o, testkit.Created.Add(10*time.Second))); !strings.Contains(got.Message, "has not received SIGTERM") {
		t.Errorf("after it: %+v", got)
	}
}

// TestClaims lists the plans that rest on something missing or late.
func TestClaims(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(1))}).Retries(0, 0).Obj()
	job := testkit.Job(tg).Obj()
	failedJob := testkit.Job(tg).Condition("Failed", "r", "m").Obj()
	parallel := testkit.TaskGroup("g").Commands(1).Parallel().Retries(0, 0).Obj()
	for name, tc := range map[string]struct {
		observed *plan.Observed
		want     plan.Claim
	}{
		"create":                               {observe(tg, nil), plan.ClaimNoJob},
		"a timeout":                            {known(observe(tg, job, testkit.Pod(job).Unplaced("Unschedulable", "full").Obj()), job.UID), plan.ClaimPods},
		"a finished Job without a pod":         {known(observe(tg, failedJob), job.UID), plan.ClaimPods},
		"the same in a Parallel group":         {known(observe(parallel, failedJob), job.UID), plan.ClaimPods},
		"a terminated pod":                     {known(observe(tg, job, testkit.Pod(job).Ended(1, "Error", failed(t, "F")).Obj()), job.UID), plan.ClaimNothing},
		"a terminated pod in a Parallel group": {known(observe(parallel, failedJob, testkit.Pod(job).Index(0, "").Ended(1, "Error", failed(t, "F")).Obj()), job.UID), plan.ClaimNothing},
		"a running pod":                        {known(observe(tg, job, testkit.Pod(job).Running().Obj()), job.UID), plan.ClaimNothing},
		"a deleted Job":                        {known(observe(tg, nil), job.UID), plan.ClaimStopped},
	} {
		t.Run(name, func(t *testing.T) {
			if p := plan.Decide(tc.observed, now); p.Claim != tc.want {
				t.Errorf("claim %d, want %d: %+v", p.Claim, tc.want, outcomeOf(p))
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

var now = testkit.Created

// pointers returns the pods as a cache does.
func pointers(pods ...corev1.Pod) []*corev1.Pod {
	var all []*corev1.Pod
	for i := range pods {
		all = append(all, &pods[i])
	}
	return all
}

// versions are name, version and phase of pods.
func versions(pods []*corev1.Pod) map[string]string {
	all := map[string]string{}
	for _, pod := range pods {
		all[pod.Name] = pod.ResourceVersion + " " + string(pod.Status.Phase)
	}
	return all
}

// TestNewestPods merges the cache with a live read at version 10 that contradicted
// it.
func TestNewestPods(t *testing.T) {
	pending, running, failed := corev1.PodPending, corev1.PodRunning, corev1.PodFailed
	cases := map[string]struct {
		cached, live []corev1.Pod
		want         map[string]string
	}{
		"a stale pod": {
			[]corev1.Pod{storedPod("p", "5", pending)}, []corev1.Pod{storedPod("p", "8", running)},
			map[string]string{"p": "8 Running"},
		},
		"a missing pod": {
			nil, []corev1.Pod{storedPod("p", "8", failed)},
			map[string]string{"p": "8 Failed"},
		},
		"a pod that was deleted": {
			[]corev1.Pod{storedPod("p", "5", running)}, nil,
			map[string]string{},
		},
		"a pod that changed after the live read": {
			[]corev1.Pod{storedPod("p", "12", failed)}, []corev1.Pod{storedPod("p", "8", running)},
			map[string]string{"p": "12 Failed"},
		},
		"a pod that was created after the live read": {
			[]corev1.Pod{storedPod("q", "11", pending)}, []corev1.Pod{storedPod("p", "8", failed)},
			map[string]string{"p": "8 Failed", "q": "11 Pending"},
		},
		"versions are numbers, not strings": {
			[]corev1.Pod{storedPod("p", "9", running), storedPod("q", "9", pending)}, []corev1.Pod{storedPod("p", "10", failed)},
			map[string]string{"p": "10 Failed"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Obj()
			var ledger evidence.Ledger
			list := liveList(tc.live...)
			list.ResourceVersion = "10"
			ledger.RecordLivePods(tg, list, now)
			if diff := cmp.Diff(tc.want, versions(ledger.NewestPods(tg, pointers(tc.cached...), now.Add(time.Second)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			cached := versions(pointers(tc.cached...))
			if diff := cmp.Diff(cached, versions(ledger.NewestPods(tg, pointers(tc.cached...), now.Add(time.Minute)))); diff != "" {
				t.Errorf("the live read counts after a minute (-want +got):\n%s", diff)
			}
			other := testkit.TaskGroup("g").Obj()
			other.UID = "another"
			if diff := cmp.Diff(cached, versions(ledger.NewestPods(other, pointers(tc.cached...), now.Add(time.Second)))); diff != "" {
				t.Errorf("the live read counts for another group of the name (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStartErrors: a timeout counts from when an error was first observed, and from
// the next error after one that is over.
func TestStartErrors(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	pod := func(name, reason string) *corev1.Pod {
		p := testkit.Pod(job).Named(name).Waiting(reason, "").Obj()
		p.UID = types.UID(name)
		return p
	}
	var ledger evidence.Ledger
	at := func(after time.Duration, pods ...*corev1.Pod) map[types.UID]time.Duration {
		since := map[types.UID]time.Duration{}
		for uid, first := range ledger.StartErrors(tg, pods, plan.HasStartError, now.Add(after)) {
			since[uid] = first.Sub(now)
		}
		return since
	}
	steps := []struct {
		after time.Duration
		pods  []*corev1.Pod
		want  map[types.UID]time.Duration
	}{
		{0, []*corev1.Pod{pod("p", "ContainerCreating")}, map[types.UID]time.Duration{}},
		{time.Minute, []*corev1.Pod{pod("p", "ErrImagePull")}, map[types.UID]time.Duration{"p": time.Minute}},
		{2 * time.Minute, []*corev1.Pod{pod("p", "ImagePullBackOff"), pod("q", "ErrImagePull")}, map[types.UID]time.Duration{"p": time.Minute, "q": 2 * time.Minute}},
		{3 * time.Minute, []*corev1.Pod{pod("p", "ContainerCreating"), pod("q", "ErrImagePull")}, map[types.UID]time.Duration{"q": 2 * time.Minute}},
		{4 * time.Minute, []*corev1.Pod{pod("p", "ErrImagePull"), pod("q", "ErrImagePull")}, map[types.UID]time.Duration{"p": 4 * time.Minute, "q": 2 * time.Minute}},
	}
	for _, step := range steps {
		if diff := cmp.Diff(step.want, at(step.after, step.pods...)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.after, diff)
		}
	}
}

// TestLedgerForgetsTheNameOfAnotherGroup: a group that is recreated under its name
// starts with no facts (I12).
func TestLedgerForgetsTheNameOfAnotherGroup(t *testing.T) {
	earlier, later := testkit.TaskGroup("g").Obj(), testkit.TaskGroup("g").Obj()
	later.UID = "later"
	name := client.ObjectKeyFromObject(earlier)
	terminated := testkit.Pod(testkit.Job(earlier).Obj()).Ended(0, "Completed", "").Obj()

	var ledger evidence.Ledger
	ledger.RecordCreatedJob(earlier, 1, "job", now)
	ledger.RecordTerminatedPod(name, terminated)
	ledger.MarkCertain(name, earlier.UID, 7)
	ledger.LookupOf(earlier, "job").Reads = 3
	ledger.QuietFor(earlier, now.Add(-time.Hour))
	written := earlier.DeepCopy()
	written.ResourceVersion = "9"
	ledger.RecordStatus(written)

	if job, pods := ledger.Recall(earlier, 1); job != "job" || len(pods) != 1 {
		t.Errorf("recalls Job %q and %d pods of the group itself", job, len(pods))
	}
	if job, _ := ledger.Recall(earlier, 2); job != "" {
		t.Errorf("recalls Job %q for another attempt", job)
	}
	if got := ledger.LookupOf(earlier, "job").Reads; got != 3 {
		t.Errorf("%d reads, want 3", got)
	}
	if got := ledger.Newest(earlier); got != written {
		t.Error("the written status is not the newest")
	}

	if job, pods := ledger.Recall(later, 1); job != "" || len(pods) != 0 {
		t.Errorf("recalls Job %q and %d pods of another group", job, len(pods))
	}
	if got := ledger.Newest(later); got != later {
		t.Error("the status of another group is the newest")
	}
	if got := ledger.Certain(later); got != 0 {
		t.Errorf("certain in epoch %d because of another group", got)
	}
	if got := ledger.LookupOf(later, "job").Reads; got != 0 {
		t.Errorf("%d reads about another group", got)
	}
	if got := ledger.QuietFor(later, now); got != 0 {
		t.Errorf("quiet for %s because of another group", got)
	}
	if ledger.CreatedWithin(later, "job", time.Hour, now) {
		t.Error("created the Job of another group")
	}
	if ledger.Forget(name); ledger.Len() != 0 {
		t.Errorf("%d groups have facts after Forget", ledger.Len())
	}
}

func TestQuietForStartsAgainAfterARunningPod(t *testing.T) {
	tg := testkit.TaskGroup("g").Obj()
	var ledger evidence.Ledger
	for _, step := range []struct {
		at   time.Duration
		runs bool
		want time.Duration
	}{{0, false, 0}, {time.Minute, false, time.Minute}, {2 * time.Minute, true, 0}, {3 * time.Minute, false, time.Minute}} {
		if step.runs {
			ledger.RecordRunningPod(tg)
		}
		if got := ledger.QuietFor(tg, now.Add(step.at)); got != step.want {
			t.Errorf("after %s: quiet for %s, want %s", step.at, got, step.want)
		}
	}
}

func TestProgressWait(t *testing.T) {
	tg := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Name: "g", UID: "u"}}
	var ledger evidence.Ledger
	for _, step := range []struct{ at, want time.Duration }{
		{0, 0}, {400 * time.Millisecond, 600 * time.Millisecond}, {time.Second, 0}, {-time.Hour, 0},
	} {
		if got := ledger.ProgressWait(tg, now.Add(step.at), time.Second); got != step.want {
			t.Errorf("after %s: waits for %s, want %s", step.at, got, step.want)
		}
	}
}

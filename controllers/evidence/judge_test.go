// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// storedPod returns a version of a pod. Its UID is its name.
func storedPod(name, version string, phase corev1.PodPhase) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: version},
		Status:     corev1.PodStatus{Phase: phase},
	}
}

func liveList(pods ...corev1.Pod) *corev1.PodList { return &corev1.PodList{Items: pods} }

// observedGroup is a group with an attempt and the pods of the cache.
func observedGroup(attempt int32, job types.UID, pods ...corev1.Pod) *plan.Observed {
	o := &plan.Observed{TaskGroup: testkit.TaskGroup("g").Commands(1).Obj(), Attempt: attempt, JobUID: job}
	for i := range pods {
		o.Pods = append(o.Pods, &pods[i])
	}
	return o
}

func TestJudgeNoJob(t *testing.T) {
	running, succeeded := storedPod("p", "1", corev1.PodRunning), storedPod("p", "1", corev1.PodSucceeded)
	cases := map[string]struct {
		attempt  int32
		evidence evidence.Evidence
		want     evidence.Verdict
	}{
		"the process is certain":                      {1, evidence.Evidence{Certain: true}, evidence.Verdict{Holds: true}},
		"nothing was read":                            {1, evidence.Evidence{}, evidence.Verdict{}},
		"the stored group is the observed one":        {1, evidence.Evidence{GroupUnchanged: true}, evidence.Verdict{Holds: true}},
		"a Job was found":                             {1, evidence.Evidence{GroupUnchanged: true, JobUID: "j"}, evidence.Verdict{FoundJob: "j"}},
		"a Job was found although it is certain":      {1, evidence.Evidence{Certain: true, JobUID: "j"}, evidence.Verdict{FoundJob: "j"}},
		"a Job was found, and the group has changed":  {1, evidence.Evidence{JobUID: "j"}, evidence.Verdict{FoundJob: "j"}},
		"a retry without a list of pods":              {2, evidence.Evidence{Certain: true}, evidence.Verdict{}},
		"a retry and no pod exists":                   {2, evidence.Evidence{Certain: true, Pods: liveList()}, evidence.Verdict{Holds: true}},
		"a retry and an earlier pod has terminated":   {2, evidence.Evidence{Certain: true, Pods: liveList(succeeded)}, evidence.Verdict{Holds: true}},
		"a retry and an earlier pod runs":             {2, evidence.Evidence{Certain: true, Pods: liveList(succeeded, running)}, evidence.Verdict{Running: true}},
		"a retry and an earlier pod is being created": {2, evidence.Evidence{Certain: true, Pods: liveList(storedPod("p", "1", ""))}, evidence.Verdict{Running: true}},
		"a retry of a group that has changed":         {2, evidence.Evidence{Pods: liveList()}, evidence.Verdict{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := evidence.Judge(plan.ClaimNoJob, observedGroup(tc.attempt, ""), &tc.evidence)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudgePods(t *testing.T) {
	pending, running := storedPod("p", "1", corev1.PodPending), storedPod("p", "2", corev1.PodRunning)
	failed := storedPod("p", "3", corev1.PodFailed)
	holds, stale := evidence.Verdict{Holds: true}, evidence.Verdict{Stale: true}
	cases := map[string]struct {
		observed []corev1.Pod
		live     *corev1.PodList
		want     evidence.Verdict
	}{
		"nothing was read":                              {nil, nil, evidence.Verdict{}},
		"no pod exists":                                 {nil, liveList(), holds},
		"the pod is as observed":                        {[]corev1.Pod{pending}, liveList(pending), holds},
		"the pending pod runs":                          {[]corev1.Pod{pending}, liveList(running), stale},
		"the running pod has terminated":                {[]corev1.Pod{running}, liveList(failed), stale},
		"the missing pod exists":                        {nil, liveList(pending), stale},
		"the missing pod has terminated":                {nil, liveList(failed), stale},
		"one of two is missing":                         {[]corev1.Pod{pending}, liveList(pending, storedPod("q", "1", corev1.PodFailed)), stale},
		"the pod was deleted":                           {[]corev1.Pod{pending}, liveList(), stale},
		"the pod was deleted after it terminated":       {[]corev1.Pod{failed}, liveList(), holds},
		"the terminated pod changed":                    {[]corev1.Pod{failed}, liveList(storedPod("p", "4", corev1.PodFailed)), holds},
		"the pod was recreated under its name":          {[]corev1.Pod{pending}, liveList(recreated(pending)), stale},
		"the terminated pod was recreated":              {[]corev1.Pod{failed}, liveList(recreated(pending)), stale},
		"the cache is newer than the live read":         {[]corev1.Pod{running}, liveList(pending), stale},
		"one pod is as observed, the other was evicted": {[]corev1.Pod{pending, storedPod("q", "1", corev1.PodRunning)}, liveList(pending, storedPod("q", "2", corev1.PodFailed)), stale},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := evidence.Judge(plan.ClaimPods, observedGroup(1, "j", tc.observed...), &evidence.Evidence{Pods: tc.live})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func recreated(pod corev1.Pod) corev1.Pod {
	pod.UID = "another"
	return pod
}

func TestJudgeStopped(t *testing.T) {
	running, failed := storedPod("p", "1", corev1.PodRunning), storedPod("p", "2", corev1.PodFailed)
	ofJob := func(pod corev1.Pod) corev1.Pod {
		pod.OwnerReferences = []metav1.OwnerReference{{UID: "j", Controller: new(true)}}
		return pod
	}
	cases := map[string]struct {
		job      types.UID
		observed []corev1.Pod
		evidence evidence.Evidence
		want     evidence.Verdict
	}{
		"no Job is known and nothing was seen for a moment": {"", nil, evidence.Evidence{QuietFor: evidence.SettleTime}, evidence.Verdict{Holds: true}},
		"no Job is known and the moment has not passed":     {"", nil, evidence.Evidence{QuietFor: evidence.SettleTime - 1}, evidence.Verdict{}},
		"a Job was found":                    {"", nil, evidence.Evidence{QuietFor: time.Hour, JobUID: "j"}, evidence.Verdict{FoundJob: "j"}},
		"the pods were not read":             {"j", nil, evidence.Evidence{QuietFor: time.Hour}, evidence.Verdict{}},
		"a pod runs":                         {"j", nil, evidence.Evidence{QuietFor: time.Hour, Pods: liveList(failed, running)}, evidence.Verdict{Running: true}},
		"a pod runs that the Job did create": {"j", []corev1.Pod{ofJob(failed)}, evidence.Evidence{Pods: liveList(running)}, evidence.Verdict{Running: true}},
		"the Job may still create its pod":   {"j", nil, evidence.Evidence{Pods: liveList()}, evidence.Verdict{}},
		"the Job has created its pod":        {"j", []corev1.Pod{ofJob(failed)}, evidence.Evidence{Pods: liveList(failed)}, evidence.Verdict{Holds: true}},
		"the pod is of another Job":          {"j", []corev1.Pod{failed}, evidence.Evidence{Pods: liveList(failed)}, evidence.Verdict{}},
		"no pod was seen for a moment":       {"j", nil, evidence.Evidence{QuietFor: evidence.SettleTime, Pods: liveList()}, evidence.Verdict{Holds: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := evidence.Judge(plan.ClaimStopped, observedGroup(1, tc.job, tc.observed...), &tc.evidence)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzJudge judges claims about random pods. No claim holds that the live pods
// contradict.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{}, true, false, "", int64(0), int32(1))
	for i := range 256 {
		f.Add([]byte{byte(i)}, i%2 == 0, i%3 == 0, "", int64(i)*int64(time.Second)/128, int32(i%3))
	}
	f.Add([]byte{0x11, 0x12, 0x33, 0x04}, true, true, "", int64(time.Hour), int32(2))
	f.Add([]byte{0x91, 0x13}, false, true, "j", int64(time.Second), int32(2))
	f.Fuzz(func(t *testing.T, choices []byte, certain, unchanged bool, found string, quiet int64, attempt int32) {
		observed, live := fuzzedPods(choices)
		e := evidence.Evidence{Certain: certain, GroupUnchanged: unchanged, JobUID: types.UID(found), QuietFor: time.Duration(quiet), Pods: liveList(live...)}
		runs := false
		for i := range live {
			runs = runs || !plan.PodEnded(&live[i])
		}
		holds := func(claim plan.Claim, job types.UID) bool {
			return evidence.Judge(claim, observedGroup(max(attempt, 1), job, observed...), &e).Holds
		}
		if holds(plan.ClaimNoJob, "") && (found != "" || (runs && attempt > 1) || (!certain && !unchanged)) {
			t.Error("a Job may be created (I1, I2)")
		}
		if (holds(plan.ClaimStopped, "j") && runs) || (holds(plan.ClaimStopped, "") && found != "") {
			t.Error("a group may be Cancelled while something of it runs (I5)")
		}
		if contradiction := contradiction(observed, live); (contradiction == "") != holds(plan.ClaimPods, "j") {
			t.Errorf("ClaimPods holds: %t; the live pods contradict: %q (I39)", contradiction != "", contradiction)
		}
		if !holds(plan.ClaimNothing, "") {
			t.Error("a plan without a claim needs no evidence")
		}
	})
}

// fuzzedPods returns the pods of a cache and of the API server. Each byte is one pod
// and its phases and versions in both.
func fuzzedPods(choices []byte) (observed, live []corev1.Pod) {
	phases := []corev1.PodPhase{"", corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown, corev1.PodRunning, corev1.PodFailed}
	for i, choice := range choices[:min(len(choices), 8)] {
		name := fmt.Sprintf("p%d", i)
		phase := phases[choice&7]
		if choice&0x10 != 0 {
			observed = append(observed, storedPod(name, "5", phase))
		}
		if choice&0x20 == 0 {
			continue
		}
		if choice&0x40 != 0 {
			live = append(live, storedPod(name, "6", phases[choice>>3&7]))
		} else {
			live = append(live, storedPod(name, "5", phase))
		}
	}
	return observed, live
}

// contradiction returns the first difference that matters; empty for none.
func contradiction(observed, live []corev1.Pod) string {
	find := func(pods []corev1.Pod, uid types.UID) *corev1.Pod {
		for i := range pods {
			if pods[i].UID == uid {
				return &pods[i]
			}
		}
		return nil
	}
	for i := range live {
		known := find(observed, live[i].UID)
		if known == nil {
			return "pod " + live[i].Name + " is missing"
		}
		if !plan.PodEnded(known) && known.ResourceVersion != live[i].ResourceVersion {
			return "pod " + live[i].Name + " changed"
		}
	}
	for i := range observed {
		if !plan.PodEnded(&observed[i]) && find(live, observed[i].UID) == nil {
			return "pod " + observed[i].Name + " was deleted"
		}
	}
	return ""
}

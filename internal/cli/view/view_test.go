// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestStages(t *testing.T) {
	cases := map[string]struct {
		tg     *v1alpha1.TaskGroup
		stage  Stage
		reason v1alpha1.Reason
		is     []string
	}{
		"no status yet":       {testkit.Sample("g", 1), Waiting, v1alpha1.ReasonPending, []string{"active", "waiting", "PENDING"}},
		"it waits for a node": {testkit.QueuedSample("g"), Waiting, v1alpha1.ReasonQueued, []string{"Active", "queued"}},
		"it runs":             {testkit.RunningSample("g"), Running, v1alpha1.ReasonRunning, []string{"active", "running"}},
		"it completed":        {testkit.CompletedSample("g"), Completed, v1alpha1.ReasonCompleted, []string{"finished", "completed"}},
		"it failed":           {testkit.OOMKilledSample("g"), Failed, v1alpha1.ReasonOOMKilled, []string{"finished", "failed", "oomkilled"}},
		"it was cancelled":    {testkit.CancelledSample("g"), Cancelled, v1alpha1.ReasonCancelled, []string{"finished", "cancelled"}},
		"a status of nothing": {&v1alpha1.TaskGroup{}, Waiting, v1alpha1.ReasonPending, []string{"active"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := StageOf(tc.tg); got != tc.stage {
				t.Errorf("stage is %s, want %s", got, tc.stage)
			}
			if got := tc.tg.Status.Reason(); got != tc.reason {
				t.Errorf("reason is %s, want %s", got, tc.reason)
			}
			for _, state := range tc.is {
				if !Is(tc.tg, state) || !IsState(state) {
					t.Errorf("it is not %s", state)
				}
			}
			if Is(tc.tg, "active") == Is(tc.tg, "finished") || Is(tc.tg, "nonsense") {
				t.Error("it is in two states, or in one that is none")
			}
		})
	}
}

// TestEveryReasonHasAdvice iterates over the API's table, so that a new reason
// cannot be forgotten here.
func TestEveryReasonHasAdvice(t *testing.T) {
	for _, reason := range v1alpha1.Reasons() {
		if !IsState(string(reason)) {
			t.Errorf("--state does not know %s", reason)
		}
		ended := reason.Info().Terminal
		if ended && len(remedies[reason]) == 0 {
			t.Errorf("nothing is said about what to do when a group ended as %s", reason)
		}
		if !ended && reason != v1alpha1.ReasonRunning && waits[reason] == "" {
			t.Errorf("nothing is said about why a group is %s", reason)
		}
	}
}

func TestWhatNext(t *testing.T) {
	want := []string{
		"give it more memory: kubectl taskgroup retry g -n team-a --memory 2Gi",
		"or let it grow by itself: spec.retries.limit with spec.retries.oomMemoryFactor",
	}
	tg := testkit.OOMKilledSample("g")
	tg.Spec.DispatchID = "d1"
	of := []string{`give it more memory: change the executor of the workflow, then ct.redispatch("d1", reuse_previous_results=True)()`, want[1]}
	if diff := cmp.Diff(of, WhatNext(tg, "kubectl taskgroup")); diff != "" {
		t.Errorf("of a workflow (-want +got):\n%s", diff)
	}
	tg.Spec.DispatchID = ""
	if diff := cmp.Diff(want, WhatNext(tg, "kubectl taskgroup")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	odd := testkit.OOMKilledSample("g")
	odd.Status.Conditions[0].Reason = "SomethingNew"
	if got := WhatNext(odd, "x"); len(got) != 1 || !strings.Contains(got[0], "logs g") {
		t.Errorf("a reason of a later release: %q", got)
	}
}

func TestAttemptsTellTheirMemory(t *testing.T) {
	tg := testkit.OOMKilledSample("g")
	memories := func(pods ...corev1.Pod) (all []string) {
		for _, attempt := range Attempts(tg, pods) {
			all = append(all, attempt.Memory)
		}
		return all
	}
	if diff := cmp.Diff([]string{"96Mi", "144Mi"}, memories()); diff != "" {
		t.Errorf("from the spec (-want +got):\n%s", diff)
	}
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.AttemptLabel: "2"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("150Mi")},
		}}}},
	}
	if diff := cmp.Diff([]string{"96Mi", "150Mi"}, memories(pod)); diff != "" {
		t.Errorf("from a pod that is still there (-want +got):\n%s", diff)
	}
	tg.Status.Jobs = tg.Status.Jobs[1:]
	if diff := cmp.Diff([]string{""}, memories()); diff != "" {
		t.Errorf("where the first attempts are forgotten (-want +got):\n%s", diff)
	}
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"0 B": Bytes(-3), "1023 B": Bytes(1023), "1.0 KiB": Bytes(1024), "3.5 MiB": Bytes(3670016), "8192.0 PiB": Bytes(1<<63 - 1),
		"0.26s": Span(261 * time.Millisecond), "4.2s": Span(4200 * time.Millisecond), "3m20s": Span(200 * time.Second), "0s": Span(-1),
		"<unknown>": Age(time.Time{}, testkit.Now), "60s": Age(testkit.Created, testkit.Now),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

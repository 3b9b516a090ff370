// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// waiting returns the gauge of the groups that wait, by reason, in seconds after the
// creation of the groups.
func waiting(t *testing.T, groups ...client.Object) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(stateCollector{newRig(t, groups...).Client})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seconds := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "taskgroup_waiting_since_timestamp_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			seconds[metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue() - float64(testkit.Created.Unix())
		}
	}
	return seconds
}

func TestWaitingSince(t *testing.T) {
	at := func(seconds int) metav1.Time {
		return metav1.Time{Time: testkit.Created.Add(time.Duration(seconds) * time.Second)}
	}
	group := func(name string, created int, reason v1alpha1.Reason, change func(*v1alpha1.TaskGroupStatus)) *v1alpha1.TaskGroup {
		tg := testkit.TaskGroup(name).Obj()
		tg.CreationTimestamp = at(created)
		tg.Status.Conditions = []metav1.Condition{{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionUnknown, Reason: string(reason)}}
		if change != nil {
			change(&tg.Status)
		}
		return tg
	}
	suspended := func(status metav1.ConditionStatus, until int) func(*v1alpha1.TaskGroupStatus) {
		return func(s *v1alpha1.TaskGroupStatus) {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: string(v1alpha1.ConditionSuspended), Status: status, LastTransitionTime: at(until)})
		}
	}
	closed := at(300)
	for name, tc := range map[string]struct {
		groups []client.Object
		want   map[string]float64
	}{
		"no group waits":             {[]client.Object{group("a", 0, v1alpha1.ReasonRunning, nil), group("b", 0, v1alpha1.ReasonCompleted, nil)}, map[string]float64{}},
		"the oldest of each reason":  {[]client.Object{group("a", 20, v1alpha1.ReasonQueued, nil), group("b", 10, v1alpha1.ReasonQueued, nil), group("c", 30, v1alpha1.ReasonStarting, nil)}, map[string]float64{"Queued": 10, "Starting": 30}},
		"a suspended group":          {[]client.Object{group("a", 0, v1alpha1.ReasonSuspended, suspended(metav1.ConditionTrue, 5))}, map[string]float64{}},
		"a group that was suspended": {[]client.Object{group("a", 0, v1alpha1.ReasonQueued, suspended(metav1.ConditionFalse, 200))}, map[string]float64{"Queued": 200}},
		"a group in its second attempt": {[]client.Object{group("a", 0, v1alpha1.ReasonQueued, func(s *v1alpha1.TaskGroupStatus) {
			s.Jobs = []v1alpha1.JobReference{{Name: "a-1", Attempt: 1, Reason: v1alpha1.ReasonNodeLost, CompletionTime: &closed}}
		})}, map[string]float64{"Queued": 300}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, waiting(t, tc.groups...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestCancellationsAreCountedOnce(t *testing.T) {
	lives := map[string]struct {
		reasons []v1alpha1.Reason
		want    float64
	}{
		"one that is cancelled while it runs":    {[]v1alpha1.Reason{"Running", "Cancelling", "Cancelling", "Cancelled"}, 1},
		"one that is cancelled before it began":  {[]v1alpha1.Reason{"Pending", "Cancelled"}, 1},
		"one that ends while it is cancelled":    {[]v1alpha1.Reason{"Running", "Cancelling", "Completed"}, 1},
		"one that fails":                         {[]v1alpha1.Reason{"Running", "Retrying", "Running", "ExitCode"}, 0},
		"one whose suspension stops its attempt": {[]v1alpha1.Reason{"Running", "Suspending", "Suspended"}, 0},
	}
	registry := prometheus.NewRegistry()
	if err := registerMetrics(registry, newRig(t, testkit.TaskGroup("a").Obj()).Client); err != nil {
		t.Fatal(err)
	}
	for name, life := range lives {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("a").Obj()
			before := counted(t, registry, "taskgroup_cancellations_total")
			for _, reason := range life.reasons {
				after := tg.Status.DeepCopy()
				after.Conditions = []metav1.Condition{{Type: string(v1alpha1.ConditionSucceeded), Reason: string(reason)}}
				observe(tg, after, nil)
				tg.Status = *after
			}
			if got := counted(t, registry, "taskgroup_cancellations_total") - before; got != life.want {
				t.Errorf("counted %v cancellations, want %v", got, life.want)
			}
		})
	}
}

// counted is the value of a counter without labels.
func counted(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

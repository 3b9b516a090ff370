// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestLongNamesHaveALabel renders a group whose name and dispatch ID are not valid
// values of labels.
func TestLongNamesHaveALabel(t *testing.T) {
	tg := readTaskGroup(t, "testdata/commands.input.yaml")
	tg.Name, tg.Spec.DispatchID = strings.Repeat("a", 200), strings.Repeat("b", 128)
	job, err := Job(tg, Attempt{Number: 1}, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	for where, labels := range map[string]map[string]string{"Job": job.Labels, "pod": job.Spec.Template.Labels} {
		for key, text := range map[string]string{v1alpha1.NameLabel: tg.Name, v1alpha1.DispatchLabel: tg.Spec.DispatchID} {
			if got := labels[key]; got != v1alpha1.LabelValue(text) || len(validation.IsValidLabelValue(got)) > 0 {
				t.Errorf("%s: label %s is %q, want %q", where, key, got, v1alpha1.LabelValue(text))
			}
		}
	}
}

// TestLabelsOfKueue requires the labels of Kueue on the Job and not on its pods.
func TestLabelsOfKueue(t *testing.T) {
	tg := readTaskGroup(t, "testdata/commands.input.yaml")
	tg.Labels = map[string]string{v1alpha1.QueueLabel: "team-a", v1alpha1.QueuePriorityLabel: "high", "other": "x"}
	job, err := Job(tg, Attempt{Number: 1}, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{v1alpha1.QueueLabel: "team-a", v1alpha1.QueuePriorityLabel: "high"}
	maps.Copy(want, job.Spec.Template.Labels)
	if diff := cmp.Diff(want, job.Labels); diff != "" {
		t.Errorf("labels of the Job (-want +got):\n%s", diff)
	}
	if _, ok := job.Spec.Template.Labels[v1alpha1.QueueLabel]; ok {
		t.Error("the pods have the label of the queue")
	}
}

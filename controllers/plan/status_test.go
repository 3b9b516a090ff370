// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestStatusUpdate: what the API server would not take is not sent.
func TestStatusUpdate(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	tg.UID, tg.ResourceVersion = "u", "7"
	tg.Labels = map[string]string{"a": "b"}
	status := &v1alpha1.TaskGroupStatus{Summary: "0/1"}
	want := &v1alpha1.TaskGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: tg.Namespace, Name: "g", UID: "u", ResourceVersion: "7"},
		Status:     *status,
	}
	if diff := cmp.Diff(want, plan.StatusUpdate(tg, status)); diff != "" {
		t.Error(diff)
	}
}

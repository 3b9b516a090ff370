// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestLargeSpecsAreNotCached bounds what a group of padded commands takes in the cache,
// and checks that its Job is rendered from the whole spec.
func TestLargeSpecsAreNotCached(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(256).Outputs("file:///out").Obj()
	for i := range tg.Spec.Tasks {
		tg.Spec.Tasks[i].Command = []string{"true", strings.Repeat("x", 500)}
	}
	r := newRig(t, tg.DeepCopy())
	cached := r.taskGroup()
	if _, err := stripTaskGroup(cached); err != nil {
		t.Fatal(err)
	}
	if size := specSize(&cached.Spec); size > maxCachedSpec {
		t.Errorf("the cache keeps %d bytes, want at most %d", size, maxCachedSpec)
	}
	if len(cached.Spec.Tasks) != 256 || cached.Spec.Tasks[255].NodeID != 255 || cached.Spec.OutputsURI() != "file:///out" {
		t.Errorf("the cache lacks what decisions need: %+v", cached.Spec.Assets)
	}
	whole, err := r.complete(t.Context(), cached)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tg.Spec, whole.Spec); diff != "" {
		t.Errorf("the Job is rendered from another spec (-want +got):\n%s", diff)
	}
	small := testkit.TaskGroup("g").Commands(3).Obj()
	if _, err := stripTaskGroup(small); err != nil || small.Spec.Tasks[2].Command == nil {
		t.Errorf("a small group is stripped: %+v, %v", small.Spec.Tasks, err)
	}
	var none v1alpha1.TaskGroup
	if got, err := r.complete(t.Context(), &none); got != &none || err != nil {
		t.Errorf("a group that is whole is read: %v", err)
	}
}

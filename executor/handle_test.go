// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestNames pins the names: a release that names groups otherwise would send those
// of a running dispatch twice.
func TestNames(t *testing.T) {
	tests := map[string]struct {
		dispatch string
		group    int64
		want     string
	}{
		"a dispatch":       {dispatch, 3, "tg-22dff98d8e32f5b1f321e355"},
		"another group":    {dispatch, 4, ""},
		"hostile":          {"../\x00\n💥", 0, ""},
		"digits that join": {dispatch + "\x001", 2, ""},
	}
	seen := map[string]string{}
	for name, tc := range tests {
		got := executor.Name(tc.dispatch, tc.group)
		if errs := validation.IsDNS1123Label(got); len(errs) > 0 {
			t.Errorf("%s: %q: %v", name, got, errs)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s are both %s", name, other, got)
		}
		seen[got] = name
		if tc.want != "" && got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestHandleIsKnownBeforeSend(t *testing.T) {
	cluster, _ := fakeCluster(t, interceptor.Funcs{})
	e := newExecutor(t, cluster)
	before := e.Handle(groupOf(3))
	tasks, resources := functions(3)
	after, err := e.Send(t.Context(), tasks, resources, groupOf(3))
	after.UID = ""
	if err != nil || before != after {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
}

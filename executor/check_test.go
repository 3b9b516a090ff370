// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestCheckGroup: the group of a check has the pod of the groups that are sent.
func TestCheckGroup(t *testing.T) {
	options := executor.DefaultOptions()
	options.PythonImages = map[string]string{"3.11": "image-311"}
	options.Pod = &v1alpha1.PodOptions{ServiceAccountName: "worker"}
	options.Runner = &v1alpha1.RunnerOptions{Python: "python3.11"}
	options.Queue, options.Labels = "team", map[string]string{"team": "a"}
	got, err := options.CheckGroup(contract.VersionInfo{Python: "3.11.2"})
	if err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.TaskGroup{Spec: v1alpha1.TaskGroupSpec{
		Pod:    &v1alpha1.PodOptions{Image: "image-311", ServiceAccountName: "worker", Labels: map[string]string{"team": "a"}},
		Runner: &v1alpha1.RunnerOptions{Python: "python3.11"},
	}}
	want.Labels = map[string]string{"team": "a", v1alpha1.QueueLabel: "team"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, info := range []contract.VersionInfo{{Python: "3.12.1"}} {
		if _, err := options.CheckGroup(info); !errors.Is(err, executor.ErrInvalid) {
			t.Errorf("Python %s: %v", info.Python, err)
		}
	}
	options.Retries = -1
	if _, err := options.CheckGroup(contract.VersionInfo{Python: "3.11.2"}); !errors.Is(err, executor.ErrInvalid) {
		t.Errorf("invalid options: %v", err)
	}
}

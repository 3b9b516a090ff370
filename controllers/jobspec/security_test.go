// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestPodUser renders pods for each setting of the operator. All of them satisfy the
// policy "restricted".
func TestPodUser(t *testing.T) {
	type ids struct{ User, Group, FSGroup *int64 }
	cases := map[string]struct {
		podUser int64
		user    *v1alpha1.SecurityContext
		want    ids
	}{
		"by default":             {0, nil, ids{new(int64(65532)), new(int64(65532)), new(int64(65532))}},
		"another ID":             {2000, nil, ids{new(int64(2000)), new(int64(2000)), new(int64(2000))}},
		"none":                   {NoPodUser, nil, ids{}},
		"none, but the user's":   {NoPodUser, &v1alpha1.SecurityContext{RunAsUser: new(int64(7))}, ids{User: new(int64(7))}},
		"the user's and default": {0, &v1alpha1.SecurityContext{FSGroup: new(int64(7))}, ids{new(int64(65532)), new(int64(65532)), new(int64(7))}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := readTaskGroup(t, "testdata/commands.input.yaml")
			tg.Spec.Pod = &v1alpha1.PodOptions{SecurityContext: tc.user}
			cfg := testConfig
			cfg.PodUser = tc.podUser
			job, err := Job(tg, Attempt{Number: 1}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			requireRestricted(t, job)
			got := job.Spec.Template.Spec.SecurityContext
			if diff := cmp.Diff(tc.want, ids{got.RunAsUser, got.RunAsGroup, got.FSGroup}); diff != "" {
				t.Errorf("IDs (-want +got):\n%s", diff)
			}
			if got.RunAsNonRoot == nil || !*got.RunAsNonRoot {
				t.Error("runAsNonRoot is not true")
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestZRoleIsExact runs after all tests that are not parallel, as its file is the last
// by name: everything the operator did in the other tests
// was allowed, and everything that config/rbac/role.yaml allows was done.
func TestZRoleIsExact(t *testing.T) {
	requests, err := cluster.Requests()
	if err != nil {
		t.Fatal(err)
	}
	used := map[[2]string]bool{}
	for _, r := range requests {
		if r.User.Username != rig.OperatorUser || r.Object.Resource == "" {
			continue
		}
		if r.Unauthorized() {
			t.Errorf("refused: %s %s/%s", r.Verb, r.Object.Resource, r.Object.Subresource)
		}
		resource := r.Object.Resource
		if r.Object.Subresource != "" {
			resource += "/" + r.Object.Subresource
		}
		used[[2]string{r.Verb, resource}] = true
	}
	// Not a request: admission requires it when an owner reference blocks its
	// owner's deletion (OwnerReferencesPermissionEnforcement).
	used[[2]string{"update", "taskgroups/finalizers"}] = true
	// An API server that does not stream lists, as this one does, receives requests for them.
	rare := [][2]string{{"list", "jobs"}}

	raw, err := os.ReadFile(filepath.Join(cluster.Root, "config/rbac/role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(raw, &role); err != nil {
		t.Fatal(err)
	}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				granted := [2]string{verb, resource}
				if !used[granted] && !slices.Contains(rare, granted) {
					t.Errorf("granted and never used: %s %s", verb, resource)
				}
			}
		}
	}
}

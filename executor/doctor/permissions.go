// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/config/rbac"
)

// checkPermissions reviews each verb of the roles of a dispatcher.
func (d *doctor) checkPermissions(ctx context.Context) Check {
	manifests := [][]byte{rbac.ExecutorRole}
	if d.Presign {
		manifests = append(manifests, rbac.ExecutorPresignRole)
	}
	var missing, roles []string
	reviewed := 0
	for _, manifest := range manifests {
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict(manifest, &role); err != nil {
			return failed("reading the role of dispatchers: %s", err)
		}
		roles = append(roles, role.Name)
		for _, attributes := range attributesOf(role.Rules) {
			attributes.Namespace = d.cluster.Namespace
			allowed, err := d.mayI(ctx, attributes)
			if err != nil {
				return d.refused("reviewing permissions", err)
			}
			reviewed++
			if !allowed {
				missing = append(missing, attributes.Verb+" "+attributes.Resource)
			}
		}
	}
	if len(missing) > 0 {
		return failed("in the namespace %s you may not %s", d.cluster.Namespace, strings.Join(missing, ", ")).
			next("ask an administrator: kubectl -n %s create rolebinding taskgroup-executor --clusterrole=%s --user=YOU", d.cluster.Namespace, strings.Join(roles, " and another one with --clusterrole="))
	}
	return ok("all %d that a dispatcher needs in the namespace %s", reviewed, d.cluster.Namespace)
}

// attributesOf returns an entry for each group, resource and verb of rules.
func attributesOf(rules []rbacv1.PolicyRule) (all []authorizationv1.ResourceAttributes) {
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, authorizationv1.ResourceAttributes{Group: group, Resource: resource, Verb: verb})
				}
			}
		}
	}
	return all
}

func (d *doctor) mayI(ctx context.Context, attributes authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes}}
	if err := d.cluster.Client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("may I %s %s: %w", attributes.Verb, attributes.Resource, err)
	}
	return review.Status.Allowed, nil
}

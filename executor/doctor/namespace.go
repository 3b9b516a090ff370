// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// enforceLabel has the Pod Security level of a namespace.
const enforceLabel = "pod-security.kubernetes.io/enforce"

// podSecurityLevels are the levels that admit the pods of groups, which satisfy the
// strictest one.
var podSecurityLevels = []string{"privileged", "baseline", "restricted"}

func (d *doctor) checkNamespace(ctx context.Context) Check {
	name := d.cluster.Namespace
	var namespace corev1.Namespace
	err := d.cluster.Client.Get(ctx, client.ObjectKey{Name: name}, &namespace)
	switch {
	case apierrors.IsForbidden(err):
		return d.checkHiddenNamespace(ctx)
	case apierrors.IsNotFound(err):
		return failed("the namespace %s does not exist", name).next("kubectl create namespace %s, or use another one", name)
	case err != nil:
		return d.refused("reading the namespace "+name, err)
	case namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating:
		return failed("the namespace %s is being deleted", name).next("wait until it is deleted and create it again, or use another one")
	}
	switch level := namespace.Labels[enforceLabel]; {
	case level == "":
		return ok("%s exists; it enforces no Pod Security level of its own", name)
	case !slices.Contains(podSecurityLevels, level):
		return warning("%s exists; its label %s is %q, which is no Pod Security level", name, enforceLabel, level).
			next("kubectl label --overwrite namespace %s %s=restricted", name, enforceLabel)
	default:
		return ok("%s exists; its Pod Security level %s admits the pods", name, level)
	}
}

// checkHiddenNamespace is for callers that may not read namespaces: the API server
// refuses every object of a namespace that does not exist or is being deleted.
func (d *doctor) checkHiddenNamespace(ctx context.Context) Check {
	err := d.cluster.Client.Create(ctx, d.group(probeOfOperator), client.DryRunAll)
	if apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return skipped("you may neither read the namespace %s nor create TaskGroups in it", d.cluster.Namespace)
	}
	if err != nil {
		return d.refused("creating a TaskGroup in the namespace "+d.cluster.Namespace+" (dry run)", err)
	}
	return ok("%s accepts TaskGroups; you may not read its Pod Security level", d.cluster.Namespace)
}

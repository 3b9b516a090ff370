// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	// DefaultPodUser is the default user and group of pods: an ID above those that
	// distributions assign, and the one that distroless images name nonroot.
	DefaultPodUser = int64(65532)
	// NoPodUser leaves the user and groups of pods to the cluster. OpenShift assigns
	// IDs of the namespace's range and refuses all others.
	NoPodUser = int64(-1)
)

// podSecurityContext returns what the policy "restricted" of Pod Security
// (k8s.io/pod-security-admission/policy) requires, whatever the user sets.
func podSecurityContext(user *v1alpha1.SecurityContext, cfg Config) *corev1.PodSecurityContext {
	context := &corev1.PodSecurityContext{
		RunAsNonRoot:        new(true),
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if cfg.PodUser != NoPodUser {
		id := cmp.Or(cfg.PodUser, DefaultPodUser)
		context.RunAsUser, context.RunAsGroup, context.FSGroup = new(id), new(id), new(id)
	}
	if user == nil {
		return context
	}
	if user.RunAsUser != nil {
		context.RunAsUser = user.RunAsUser
	}
	if user.RunAsGroup != nil {
		context.RunAsGroup = user.RunAsGroup
	}
	if user.FSGroup != nil {
		context.FSGroup = user.FSGroup
	}
	if user.FSGroupChangePolicy != nil {
		context.FSGroupChangePolicy = user.FSGroupChangePolicy
	}
	context.SupplementalGroups = user.SupplementalGroups
	return context
}

func containerSecurityContext() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

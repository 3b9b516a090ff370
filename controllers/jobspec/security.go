package jobspec

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// nobody is the default user and group of pods: an ID above those that distributions
// assign, and the one that distroless images name nonroot.
const nobody = int64(65532)

// podSecurityContext is what Pod Security's level "restricted" asks of a pod
// (k8s.io/pod-security-admission/policy), whatever the user sets.
func podSecurityContext(user *v1alpha1.SecurityContext) *corev1.PodSecurityContext {
	context := &corev1.PodSecurityContext{
		RunAsNonRoot:        new(true),
		RunAsUser:           new(nobody),
		RunAsGroup:          new(nobody),
		FSGroup:             new(nobody),
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
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

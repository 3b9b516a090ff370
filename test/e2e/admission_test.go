// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// limitedNamespace has a LimitRange.
	limitedNamespace = "e2e-limited"
	// testLabel is on pods that a policy of a test selects.
	testLabel = "e2e.example/policy"
)

// denial is a ValidatingAdmissionPolicy that denies the pods with a value of
// testLabel, or the Jobs whose pods have it.
const denial = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [%[2]q], apiVersions: [v1], operations: [CREATE], resources: [%[3]s]}
  matchConditions:
  - {name: labels, expression: "has(%[4]s.metadata.labels) && %[4]s.metadata.labels.exists(k, k == '` + testLabel + `' && %[4]s.metadata.labels[k] == '%[1]s')"}
  validations:
  - {expression: "false", message: no budget was approved for this team}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`

const limitRange = `
apiVersion: v1
kind: Namespace
metadata: {name: ` + limitedNamespace + `, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: ` + limitedNamespace + `}
spec: {limits: [{type: Container, max: {memory: 64Mi}}]}
`

// TestDeniedUntilAllowed creates groups whose Job or pod is not admitted. Each one is
// Queued with the text of the API server, and completes once the cause was removed.
func TestDeniedUntilAllowed(t *testing.T) {
	t.Parallel()
	needsAccount := commandGroup("denied-account", "true")
	needsAccount.Spec.Pod.ServiceAccountName = "missing-account"
	tooLarge := withMemory(testkit.New(limitedNamespace, "denied-limit").Tasks(v1alpha1.TaskSpec{Command: []string{"true"}}).
		Pod(v1alpha1.PodOptions{}).Obj(), "128Mi")
	for name, tc := range map[string]struct {
		tg *v1alpha1.TaskGroup
		// deny has the objects that deny the Job or the pod; empty for none.
		deny string
		// denied is an object that is denied as soon as deny takes effect.
		denied client.Object
		// allow are the arguments of kubectl that remove the cause.
		allow []string
		// message is a text in MESSAGE.
		message string
	}{
		"policy for Jobs": {
			tg: labelled(commandGroup("denied-job", "true"), "denied-job"), deny: fmt.Sprintf(denial, "denied-job", "batch", "jobs", "object.spec.template"),
			denied: probeJob("denied-job"), allow: []string{"delete", "validatingadmissionpolicybinding", "denied-job"}, message: "no budget was approved for this team",
		},
		"policy for pods": {
			tg: labelled(commandGroup("denied-pod", "true"), "denied-pod"), deny: fmt.Sprintf(denial, "denied-pod", "", "pods", "object"),
			denied: probePod("denied-pod"), allow: []string{"delete", "validatingadmissionpolicybinding", "denied-pod"}, message: "no budget was approved for this team",
		},
		"LimitRange": {
			tg: tooLarge, deny: limitRange, allow: []string{"-n", limitedNamespace, "delete", "limitrange", "small"},
			message: "maximum memory usage per Container is 64Mi, but limit is 128Mi",
		},
		"ServiceAccount that does not exist": {
			tg: needsAccount, allow: []string{"-n", namespace, "create", "serviceaccount", "missing-account"},
			message: `serviceaccount "missing-account" not found`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.deny != "" {
				if err := applyAny(t.Context(), tc.deny); err != nil {
					t.Fatal(err)
				}
			}
			if tc.denied != nil {
				awaitDryRun(t, tc.denied, func(_ client.Object, err error) bool { return err != nil && strings.Contains(err.Error(), tc.message) })
			}
			key := create(t, tc.tg)
			awaitMessage(t, key, v1alpha1.ReasonQueued, tc.message, 60*time.Second)
			if _, err := cluster.Run(t.Context(), tc.allow...); err != nil {
				t.Fatal(err)
			}
			if tg := awaitReason(t, key, v1alpha1.ReasonCompleted); tg.Status.Attempt != 1 {
				t.Errorf("status is %+v", tg.Status)
			}
		})
	}
}

// labelled sets testLabel on the pods of a group.
func labelled(tg *v1alpha1.TaskGroup, value string) *v1alpha1.TaskGroup {
	tg.Spec.Pod.Labels = map[string]string{testLabel: value}
	return tg
}

// applyAny applies objects of any namespace.
func applyAny(ctx context.Context, manifest string) error {
	return kubectl(ctx, strings.NewReader(manifest), nil, "apply", "-f", "-")
}

// awaitDryRun repeats a create without effect until its result is as expected: a
// policy takes effect a moment after it was created.
func awaitDryRun(t *testing.T, object client.Object, expected func(client.Object, error) bool) {
	t.Helper()
	err := rig.Await(t.Context(), "the policy to take effect", func(ctx context.Context) (bool, string, error) {
		created, ok := object.DeepCopyObject().(client.Object)
		if !ok {
			return false, "", fmt.Errorf("copying a %T", object)
		}
		err := cluster.Client.Create(ctx, created, client.DryRunAll)
		return expected(created, err), fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// probePod is a pod that the namespace admits.
func probePod(label string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe-" + label, Labels: map[string]string{testLabel: label}},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: "localhost/taskgroup-operator/python:dev",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// probeJob is a Job of a probePod.
func probeJob(label string) *batchv1.Job {
	pod := probePod(label)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod.Name},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}},
	}
}

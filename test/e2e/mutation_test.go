// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// mutation is a MutatingAdmissionPolicy that changes the pods with a value of
// testLabel, as a webhook does.
const mutation = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
    objectSelector: {matchLabels: {` + testLabel + `: %[1]s}}
  matchConditions:
  - {name: applies, expression: %[2]q}
  mutations:
  - {patchType: JSONPatch, jsonPatch: {expression: %[3]q}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s}
`

// sidecar adds a container that runs a line of sh.
const sidecar = `[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
	name: "mesh-proxy", image: "localhost/taskgroup-operator/python:dev", imagePullPolicy: "IfNotPresent", command: ["sh", "-c", "%s"],
	securityContext: Object.spec.containers.securityContext{
		allowPrivilegeEscalation: false, capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}}}}]`

// mutate installs a mutation and waits until it takes effect on the probe.
func mutate(t *testing.T, name, condition, patch string, probe *corev1.Pod, mutated func(*corev1.Pod) bool) {
	t.Helper()
	err := applyAny(t.Context(), fmt.Sprintf(mutation, name, condition, patch))
	if err != nil && strings.Contains(err.Error(), "no matches for kind") {
		t.Skip("the API server has no MutatingAdmissionPolicy, which is in Kubernetes 1.36 and newer")
	}
	if err != nil {
		t.Fatal(err)
	}
	awaitDryRun(t, probe, func(created client.Object, err error) bool {
		pod, ok := created.(*corev1.Pod)
		return ok && err == nil && mutated(pod)
	})
}

// TestInjectedSidecars: the tasks decide the result, whatever an injected container
// does.
func TestInjectedSidecars(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"sidecar-runs": "sleep 3600", "sidecar-fails": "exit 3"} {
		for suffix, execution := range map[string]v1alpha1.Execution{"": v1alpha1.Sequential, "-parallel": v1alpha1.Parallel} {
			t.Run(name+suffix, func(t *testing.T) {
				t.Parallel()
				value := name + suffix
				mutate(t, value, "true", fmt.Sprintf(sidecar, line), probePod(value), func(pod *corev1.Pod) bool { return len(pod.Spec.Containers) == 2 })
				tg := labelled(group(value,
					v1alpha1.TaskSpec{NodeID: 0, Command: []string{"sh", "-c", "sleep 2; echo first"}},
					v1alpha1.TaskSpec{NodeID: 1, Command: []string{"echo", "second"}},
				), value)
				tg.Spec.Execution = execution
				tg.Spec.Timeouts = &v1alpha1.Timeouts{RunningSeconds: new(int64(30))}
				tg.Spec.Pod.TerminationGracePeriodSeconds = new(int64(5))
				tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
				wantMessage(t, tg, "All 2 tasks completed")
				if tg.Status.Attempt != 1 || tg.Status.Summary != "2/2" {
					t.Errorf("status is %+v", tg.Status)
				}
				if left := leftovers(t, string(tg.UID)); strings.Contains(left, "Pod/") {
					t.Errorf("Completed, and there are %s", left)
				}
				if execution == v1alpha1.Sequential {
					if got := text(t, manifest(t, tg), 1, contract.AssetStdout); got != "second\n" {
						t.Errorf("the second task printed %q", got)
					}
				}
			})
		}
	}
}

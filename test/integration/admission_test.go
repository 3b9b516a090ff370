// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// mutation is a MutatingAdmissionPolicy that applies a JSON patch to the objects of one
// namespace when they are created, as the webhook of a queue or of a service mesh does.
const mutation = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    resourceRules:
    - {apiGroups: ["", batch], apiVersions: [v1], operations: [CREATE], resources: [%[2]s]}
  mutations:
  - {patchType: JSONPatch, jsonPatch: {expression: %[3]q}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s}
`

const (
	// suspendJob holds a Job in a queue.
	suspendJob = `[JSONPatch{op: "add", path: "/spec/suspend", value: true}]`
	// addSidecar adds a container to a pod.
	addSidecar = `[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
		name: "mesh-proxy", image: "mesh-proxy",
		securityContext: Object.spec.containers.securityContext{
			allowPrivilegeEscalation: false, capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}}}}]`
)

// mutated returns a namespace in which a mutation of a resource is in effect.
func mutated(t *testing.T, resource, patch string) string {
	t.Helper()
	ns := namespace(t)
	for doc := range strings.SplitSeq(fmt.Sprintf(mutation, ns, resource, patch), "---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &obj.Object); err != nil {
			t.Fatal(err)
		}
		err := cluster.Client.Create(t.Context(), obj)
		if meta.IsNoMatchError(err) {
			t.Skip("the API server has no MutatingAdmissionPolicy, which is in Kubernetes 1.36 and newer: " + err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cluster.Client.Delete(context.Background(), obj) })
	}
	err := rig.Await(t.Context(), "the mutation to take effect", func(ctx context.Context) (bool, string, error) {
		probe := probeJob(ns)
		if resource == "jobs" {
			err := cluster.Client.Create(ctx, probe, client.DryRunAll)
			return err == nil && *probe.Spec.Suspend, fmt.Sprint(err), nil
		}
		pod := &corev1.Pod{ObjectMeta: probe.ObjectMeta, Spec: probe.Spec.Template.Spec}
		err := cluster.Client.Create(ctx, pod, client.DryRunAll)
		return err == nil && len(pod.Spec.Containers) == 2, fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// probeJob is a Job that the Pod Security Standard "restricted" admits.
func probeJob(ns string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "probe"}, Spec: batchv1.JobSpec{
		Suspend: new(false),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{Name: "probe", Image: "probe", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		}},
	}}
}

// TestInjectedSidecars: the termination message decides the result. A container that
// something else injected, and that runs without end or fails, changes nothing, and
// does not outlive the group's end.
func TestInjectedSidecars(t *testing.T) {
	endless := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	failing := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}}
	for name, sidecar := range map[string]corev1.ContainerState{"endless": endless, "failing": failing} {
		t.Run(name, func(t *testing.T) {
			forBothKinds(t, func(t *testing.T, k kind) {
				testInjectedSidecar(t, k, sidecar)
			})
		})
	}
}

func testInjectedSidecar(t *testing.T, k kind, sidecar corev1.ContainerState) {
	ns := mutated(t, "pods", addSidecar)
	completed := create(t, k.commands(ns, "completed", 2), rig.Behaviour{Sidecar: sidecar})
	failed := create(t, k.commands(ns, "failed", 2), rig.Behaviour{Sidecar: sidecar, End: &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", Message: failureRecord(k.records(2)),
	}})
	cancelled := create(t, k.commands(ns, "cancelled", 2), rig.Behaviour{Sidecar: sidecar, Runs: true})
	retried := k.commands(ns, "retried", 2)
	retried.Spec.Retries.Limit = 1
	again := create(t, retried, rig.Behaviour{
		Sidecar: sidecar, End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(k.records(2))},
		Then: &rig.Behaviour{Sidecar: sidecar},
	})
	awaitReason(t, cancelled, v1alpha1.ReasonRunning)
	cancel(t, cancelled)
	for _, want := range []struct {
		key      client.ObjectKey
		reason   v1alpha1.Reason
		attempts int
	}{
		{completed, v1alpha1.ReasonCompleted, 1},
		{failed, v1alpha1.ReasonTaskError, 1},
		{cancelled, v1alpha1.ReasonCancelled, 1},
		{again, v1alpha1.ReasonCompleted, 2},
	} {
		tg := awaitReason(t, want.key, want.reason)
		if len(tg.Status.Jobs) != want.attempts {
			t.Errorf("%s took %d attempts, want %d: %+v", tg.Name, len(tg.Status.Jobs), want.attempts, tg.Status)
		}
		wantNoLivePods(t, want.key)
	}
}

// wantNoLivePods checks that every pod of a group has terminated.
func wantNoLivePods(t *testing.T, key client.ObjectKey) {
	t.Helper()
	var pods corev1.PodList
	if err := cluster.Client.List(t.Context(), &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.NameLabel: key.Name}); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if phase := pods.Items[i].Status.Phase; phase == corev1.PodRunning || phase == corev1.PodPending {
			t.Errorf("%s has its result, and pod %s is %s", key.Name, pods.Items[i].Name, phase)
		}
	}
}

// evict evicts the pods of a group, as kubectl drain does.
func evict(t *testing.T, key client.ObjectKey) {
	t.Helper()
	var pods corev1.PodList
	if err := cluster.Client.List(t.Context(), &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.NameLabel: key.Name}); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if err := cluster.Client.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{ObjectMeta: pod.ObjectMeta}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDrainDuringCommit: a pod is evicted while its runner commits the results. The
// tasks are completed if the commit ended before the pod did, and run again if it did
// not; this spends the budget for infrastructure only.
func TestDrainDuringCommit(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		drained := func(name string, message contract.TerminationMessage, exitCode int32) client.ObjectKey {
			raw, err := contract.EncodeTerminationMessage(&message)
			if err != nil {
				t.Fatal(err)
			}
			tg := k.commands(ns, name, 2)
			tg.Spec.Retries.InfrastructureLimit = new(int32(1))
			key := create(t, tg, rig.Behaviour{
				Runs: true, Stopped: &corev1.ContainerStateTerminated{ExitCode: exitCode, Reason: "Error", Message: string(raw)}, Then: &rig.Behaviour{},
			})
			awaitReason(t, key, v1alpha1.ReasonRunning)
			evict(t, key)
			return key
		}
		completed := make([]contract.TaskState, k.records(2))
		cancelled := make([]contract.TaskState, k.records(2))
		for i := range completed {
			completed[i], cancelled[i] = contract.TaskCompleted, contract.TaskCancelled
		}
		committed := drained("committed", contract.TerminationMessage{States: completed, ManifestSHA256: rig.AnyDigest}, 0)
		interrupted := drained("interrupted", contract.TerminationMessage{
			States: cancelled, Failure: &contract.Failure{Reason: contract.ReasonTerminated, Message: "stopped by SIGTERM"},
		}, 143)
		silent := drained("silent", contract.TerminationMessage{}, 137)

		if tg := awaitReason(t, committed, v1alpha1.ReasonCompleted); tg.Status.Attempt != 1 || tg.Status.Retries != nil {
			t.Errorf("committed: %+v", tg.Status)
		}
		for _, key := range []client.ObjectKey{interrupted, silent} {
			tg := awaitReason(t, key, v1alpha1.ReasonCompleted)
			if tg.Status.Attempt != 2 || tg.Status.Retries.Infrastructure != 1 || tg.Status.Retries.User != 0 || tg.Status.Jobs[0].Reason != v1alpha1.ReasonEvicted {
				t.Errorf("%s: %+v", key.Name, tg.Status)
			}
		}
	})
}

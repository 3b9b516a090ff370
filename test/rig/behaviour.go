// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// Behaviour is what the node does with the pods of a group. The zero value
// binds the pod, runs it, and completes all its tasks.
type Behaviour struct {
	// Unplaced leaves the pod without a node.
	Unplaced bool
	// Waiting keeps the container from running, for this reason.
	Waiting *corev1.ContainerStateWaiting
	// Runs keeps the container running until the pod is deleted.
	Runs bool
	// End is how the container terminates; nil completes all tasks.
	End *corev1.ContainerStateTerminated
	// Disrupted is the reason of the condition DisruptionTarget; empty for none.
	Disrupted string
	// Stopped is how the container terminates if its pod is deleted while it runs; nil
	// reports all tasks as cancelled.
	Stopped *corev1.ContainerStateTerminated
	// Sidecar is the state of a second container, from the start of the first to the
	// deletion of the pod. It has no effect on pods with one container.
	Sidecar corev1.ContainerState
	// Refused is the pod's own reason where the kubelet ends it before a container
	// runs; empty where it does not.
	Refused string
	// Untouched leaves the pods as they are, also those that are being deleted: the test
	// writes their status.
	Untouched bool
	// Then is what becomes of the pods of later attempts; nil for the same.
	Then *Behaviour
}

// Behave sets what becomes of the pods of a group, before or while they run.
// It touches each of them, so that a change is seen at once.
func (n *Node) Behave(ctx context.Context, key client.ObjectKey, b Behaviour) error {
	n.mu.Lock()
	n.behaviours[key.String()] = b
	n.mu.Unlock()
	return n.stepAll(ctx, key.String())
}

// stepAll takes the pods of a group a step, or all there are where it is empty.
func (n *Node) stepAll(ctx context.Context, group string) error {
	var pods corev1.PodList
	if err := n.client.List(ctx, &pods, client.HasLabels{n.options.Label}); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if group != "" && pod.Namespace+"/"+pod.Annotations[v1alpha1.NameAnnotation] != group {
			continue
		}
		if err := n.step(ctx, pod); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) behaviour(pod *corev1.Pod) Behaviour {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.behaviours[pod.Namespace+"/"+pod.Annotations[v1alpha1.NameAnnotation]]
	if attempt := pod.Labels[v1alpha1.AttemptLabel]; b.Then != nil && attempt != "1" {
		return *b.Then
	}
	return b
}

// step takes a pod one step on its way; each step's event brings the next.
func (n *Node) step(ctx context.Context, pod *corev1.Pod) error {
	b := n.behaviour(pod)
	if b.Untouched || n.silent.Load() || !n.has(pod) {
		return nil
	}
	err := n.next(ctx, pod.DeepCopy(), b)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		// Another actor was faster; the event of what they did is on its way.
		return nil
	}
	return err
}

func (n *Node) next(ctx context.Context, pod *corev1.Pod, b Behaviour) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return n.remove(ctx, pod, b)
	case b.Unplaced:
		return nil
	case pod.Spec.NodeName == "":
		binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: n.Name}}
		return n.client.SubResource("binding").Create(ctx, pod, binding)
	case pod.Status.Phase == corev1.PodPending && b.Refused != "":
		return n.refuse(ctx, pod, b.Refused)
	case pod.Status.Phase == corev1.PodPending && b.Waiting != nil:
		return n.setState(ctx, pod, corev1.PodPending, corev1.ContainerState{Waiting: b.Waiting}, b.Sidecar)
	case pod.Status.Phase == corev1.PodPending:
		return n.setState(ctx, pod, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}, b.Sidecar)
	case pod.Status.Phase == corev1.PodRunning && !b.Runs && !terminated(pod):
		return n.finish(ctx, pod, b)
	}
	return nil
}

// finish terminates the container of the tasks by itself.
func (n *Node) finish(ctx context.Context, pod *corev1.Pod, b Behaviour) error {
	if b.Disrupted != "" {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: b.Disrupted,
		})
	}
	return n.end(ctx, pod, b.End, b.Sidecar)
}

// terminated reports whether the container of the tasks has terminated. The pod may
// still run, because of a sidecar.
func terminated(pod *corev1.Pod) bool {
	statuses := pod.Status.ContainerStatuses
	return len(statuses) > 0 && statuses[0].State.Terminated != nil
}

// killed is the state of a container that the kubelet killed after the grace period.
var killed = corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}

// remove removes a pod as a kubelet does: SIGTERM, the termination message, the
// deletion. A pod that never ran fails first, for which its Job waits.
func (n *Node) remove(ctx context.Context, pod *corev1.Pod, b Behaviour) error {
	sidecar := corev1.ContainerState{Terminated: &killed}
	switch {
	case pod.Status.Phase == corev1.PodPending && pod.Spec.NodeName != "":
		return n.end(ctx, pod, &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}, sidecar)
	case pod.Status.Phase == corev1.PodRunning && terminated(pod):
		return n.end(ctx, pod, pod.Status.ContainerStatuses[0].State.Terminated, sidecar)
	case pod.Status.Phase == corev1.PodRunning && b.Stopped != nil:
		return n.end(ctx, pod, b.Stopped, sidecar)
	case pod.Status.Phase == corev1.PodRunning:
		message, err := terminationMessage(pod, contract.TaskCancelled)
		if err != nil {
			return err
		}
		return n.end(ctx, pod, &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error", Message: message}, sidecar)
	}
	return n.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
}

// refuse ends a pod as a kubelet does that has no room for it, or shuts down.
func (n *Node) refuse(ctx context.Context, pod *corev1.Pod, reason string) error {
	before := pod.DeepCopy()
	pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, "the node said so"
	return n.client.Status().Patch(ctx, pod, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// end terminates the container of the tasks; nil completes all tasks. The pod runs for
// as long as its sidecar does.
func (n *Node) end(ctx context.Context, pod *corev1.Pod, end *corev1.ContainerStateTerminated, sidecar corev1.ContainerState) error {
	if end == nil {
		message, err := terminationMessage(pod, contract.TaskCompleted)
		if err != nil {
			return err
		}
		end = &corev1.ContainerStateTerminated{Reason: "Completed", Message: message}
	}
	ended := end.DeepCopy()
	ended.FinishedAt = metav1.Now()
	phase := corev1.PodSucceeded
	if ended.ExitCode != 0 {
		phase = corev1.PodFailed
	}
	if len(pod.Spec.Containers) > 1 {
		switch {
		case sidecar.Running != nil:
			phase = corev1.PodRunning
		case sidecar.Terminated != nil && sidecar.Terminated.ExitCode != 0:
			phase = corev1.PodFailed
		}
	}
	return n.setState(ctx, pod, phase, corev1.ContainerState{Terminated: ended}, sidecar)
}

func (n *Node) setState(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase, state, sidecar corev1.ContainerState) error {
	if pod.Status.Phase == phase && len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Waiting != nil {
		return nil
	}
	before := &corev1.Pod{ObjectMeta: pod.ObjectMeta}
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = nil
	for i, s := range []corev1.ContainerState{state, sidecar}[:min(2, len(pod.Spec.Containers))] {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: pod.Spec.Containers[i].Name, Image: "x", ImageID: "x", State: s,
		})
	}
	return n.client.Status().Patch(ctx, pod, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// terminationMessage is what a runner writes when all tasks end in one state.
func terminationMessage(pod *corev1.Pod, state contract.TaskState) (string, error) {
	var message contract.TerminationMessage
	for _, env := range pod.Spec.Containers[0].Env {
		if env.Name != contract.PlanEnv {
			continue
		}
		plan, err := contract.DecodePlan(env.Value)
		if err != nil {
			return "", err
		}
		tasks := len(plan.Tasks)
		if plan.Parallel {
			tasks = 1
		}
		for range tasks {
			message.States = append(message.States, state)
		}
		if plan.Outputs != "" {
			message.ManifestSHA256 = AnyDigest
		}
	}
	if state == contract.TaskCancelled {
		message.Failure = &contract.Failure{Reason: contract.ReasonTerminated, Message: "stopped"}
	}
	raw, err := contract.EncodeTerminationMessage(&message)
	return string(raw), err
}

// AnyDigest is the digest of the manifests that the node's pods claim to commit.
const AnyDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

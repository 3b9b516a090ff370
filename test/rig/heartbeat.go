// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// register makes the Node object, in a zone of its own: the node lifecycle
// controller evicts slowly, or not at all, where most of a zone is lost. A node
// that is ready and has no heartbeat would soon be one that is lost.
func (c *Cluster) register(ctx context.Context, name string, ready bool) error {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: name}},
		// The real scheduler is to leave it alone.
		Spec: corev1.NodeSpec{Unschedulable: true},
	}
	if err := c.Client.Create(ctx, node); err != nil {
		return fmt.Errorf("registering node %s: %w", name, err)
	}
	if !ready {
		return nil
	}
	before := node.DeepCopy()
	now := metav1.Now()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	if err := c.Client.Status().Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("registering node %s: %w", name, err)
	}
	return nil
}

// beat renews the node's lease, as a kubelet does, and makes the node ready again
// that was not because it is missing.
func (n *Node) beat(ctx context.Context) {
	for {
		if err := n.renew(ctx); err != nil && ctx.Err() == nil {
			n.beatErr = errors.Join(n.beatErr, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(n.options.Heartbeat):
		}
	}
}

func (n *Node) renew(ctx context.Context) error {
	if n.silent.Load() {
		return nil
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: n.Name}}
	spec := coordinationv1.LeaseSpec{HolderIdentity: &n.Name, LeaseDurationSeconds: new(int32(40)), RenewTime: &metav1.MicroTime{Time: time.Now()}}
	key := client.ObjectKeyFromObject(lease)
	err := n.client.Get(ctx, key, lease)
	lease.Spec = spec
	if apierrors.IsNotFound(err) {
		err = n.client.Create(ctx, lease)
	} else if err == nil {
		err = n.client.Update(ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("renewing the lease of node %s: %w", n.Name, err)
	}
	return n.recover(ctx)
}

// recover is what a kubelet does whose node was taken for lost.
func (n *Node) recover(ctx context.Context) error {
	var node corev1.Node
	if err := n.client.Get(ctx, client.ObjectKey{Name: n.Name}, &node); err != nil {
		return client.IgnoreNotFound(err)
	}
	before := node.DeepCopy()
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			c.Status, c.Reason, c.Message = corev1.ConditionTrue, "KubeletReady", ""
			c.LastHeartbeatTime, c.LastTransitionTime = metav1.Now(), metav1.Now()
			return n.client.Status().Patch(ctx, &node, client.MergeFrom(before))
		}
	}
	return nil
}

// Silence stops the node in its tracks: it sends nothing and does nothing, as a
// kubelet whose machine has no network. Its pods may well run on.
func (n *Node) Silence() { n.silent.Store(true) }

// Speak is the end of Silence.
func (n *Node) Speak(ctx context.Context) error {
	n.silent.Store(false)
	return n.stepAll(ctx, "")
}

// Remove deletes the Node object, as a cloud does with a machine that no longer exists.
func (n *Node) Remove(ctx context.Context) error {
	if err := n.client.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}); err != nil {
		return fmt.Errorf("removing node %s: %w", n.Name, err)
	}
	return nil
}

// OutOfService is an admin's word that the machine is down, for good.
func (n *Node) OutOfService(ctx context.Context) error {
	var node corev1.Node
	if err := n.client.Get(ctx, client.ObjectKey{Name: n.Name}, &node); err != nil {
		return fmt.Errorf("reading node %s: %w", n.Name, err)
	}
	before := node.DeepCopy()
	node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute})
	if err := n.client.Patch(ctx, &node, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("tainting node %s: %w", n.Name, err)
	}
	return nil
}

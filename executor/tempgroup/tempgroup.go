// SPDX-License-Identifier: Apache-2.0

package tempgroup

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	// PollInterval is how often a group is read.
	PollInterval = 250 * time.Millisecond
	// LeftoverTTL is when the operator deletes a finished group that this program could
	// not remove, such as after SIGKILL, in seconds.
	LeftoverTTL = 120
	// createTimeout bounds the creation of a group.
	createTimeout = 30 * time.Second
	// removeTimeout bounds the removal of a group, also after a cancellation. It takes
	// about half a minute if the garbage collector has not discovered a new CRD yet.
	removeTimeout = time.Minute
)

// Create creates a group. A cancellation does not interrupt it: the group would exist
// without this program knowing.
func Create(ctx context.Context, c client.Client, tg *v1alpha1.TaskGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	err := c.Create(ctx, tg)
	if err != nil && ctx.Err() != nil {
		_ = Remove(ctx, c, tg)
	}
	return err
}

// Await reads a group until it is as wanted. The error is a wait.Interrupted after the
// timeout; the group is then the last that was read.
func Await(ctx context.Context, c client.Client, tg *v1alpha1.TaskGroup, timeout time.Duration, wanted func(*v1alpha1.TaskGroup) bool) (*v1alpha1.TaskGroup, error) {
	last := tg
	err := wait.PollUntilContextTimeout(ctx, PollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		var seen v1alpha1.TaskGroup
		err := c.Get(ctx, client.ObjectKeyFromObject(tg), &seen)
		if err == nil {
			last = &seen
			return wanted(&seen), nil
		}
		// Other errors may pass, and the time is bounded.
		return false, goneError(err)
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return last, err
}

// goneError returns the error of a group that no longer exists.
func goneError(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("it was deleted in the meantime: %w", err)
	}
	return nil
}

// Remove deletes a group with its pod and waits for that, also after the cancellation of
// ctx. A caller that may not delete cancels it, and the operator deletes it.
func Remove(ctx context.Context, c client.Client, tg *v1alpha1.TaskGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	options := []client.DeleteOption{}
	// A suspended group has no pod to wait for.
	if !tg.Spec.Suspend {
		options = append(options, client.PropagationPolicy(metav1.DeletePropagationForeground))
	}
	// The name is random: an object of this name, whose UID is unknown, is this group.
	if tg.UID != "" {
		options = append(options, client.Preconditions{UID: &tg.UID})
	}
	err := c.Delete(ctx, tg.DeepCopy(), options...)
	if apierrors.IsForbidden(err) {
		// Deleted by the operator at once after its end.
		change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true,"ttlSecondsAfterFinished":0}}`))
		err = c.Patch(ctx, tg.DeepCopy(), change)
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("TaskGroup %s was not removed: %w", tg.Name, err)
	}
	err = wait.PollUntilContextCancel(ctx, PollInterval, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(tg), &v1alpha1.TaskGroup{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		return fmt.Errorf("TaskGroup %s is still being removed after %s", tg.Name, removeTimeout)
	}
	return nil
}

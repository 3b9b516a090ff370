// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// timeout is how long a condition may take on a slow machine.
const timeout = 120 * time.Second

// Await polls until the condition holds; the error reports what was last seen.
func Await(ctx context.Context, what string, condition func(context.Context) (done bool, seen string, err error)) error {
	var last string
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		done, seen, err := condition(ctx)
		last = seen
		return done, err
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w; last seen: %s", what, err, last)
	}
	return nil
}

// AwaitReason waits until `kubectl get tg` shows one of the reasons, and returns
// the group as it then is.
func (c *Cluster) AwaitReason(ctx context.Context, key client.ObjectKey, reasons ...v1alpha1.Reason) (*v1alpha1.TaskGroup, error) {
	var tg v1alpha1.TaskGroup
	err := Await(ctx, fmt.Sprintf("TaskGroup %s to be %v", key, reasons), func(ctx context.Context) (bool, string, error) {
		if err := c.Client.Get(ctx, key, &tg); err != nil {
			return false, "", err
		}
		now := tg.Status.Reason()
		if slices.Contains(reasons, now) {
			return true, string(now), nil
		}
		seen := fmt.Sprintf("%s: %+v", now, tg.Status)
		if tg.Status.IsFinished() {
			return false, seen, fmt.Errorf("it ended as %s", now)
		}
		return false, seen, nil
	})
	return &tg, err
}

// AwaitFinished waits until the group has finished, whichever way.
func (c *Cluster) AwaitFinished(ctx context.Context, key client.ObjectKey) (*v1alpha1.TaskGroup, error) {
	var tg v1alpha1.TaskGroup
	err := Await(ctx, fmt.Sprintf("TaskGroup %s to end", key), func(ctx context.Context) (bool, string, error) {
		if err := c.Client.Get(ctx, key, &tg); err != nil {
			return false, "", err
		}
		return tg.Status.IsFinished(), fmt.Sprintf("%+v", tg.Status), nil
	})
	return &tg, err
}

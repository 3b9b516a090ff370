// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"testing"
	"time"
)

// AwaitKnown waits until the watch has reported a group that is polled.
func AwaitKnown(t *testing.T, c *Cluster, name string) {
	await(t, func() bool { k := c.watch.Kept()[name]; return k.UID != "" && k.Wanted })
}

// AwaitGone waits until the watch has reported that a group was deleted.
func AwaitGone(t *testing.T, c *Cluster, name string) {
	await(t, func() bool { k, ok := c.watch.Kept()[name]; return !ok || k.Deleted })
}

// Kept returns how many groups the watch has, and of how many it keeps the status.
func Kept(c *Cluster) (known, detailed int) {
	for _, k := range c.watch.Kept() {
		known++
		if k.Detailed {
			detailed++
		}
	}
	return known, detailed
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the watch did not report it")
		}
	}
}

package executor

import (
	"testing"
	"time"
)

// AwaitKnown waits until the watch has told of a group that somebody polls.
func AwaitKnown(t *testing.T, c *Cluster, name string) {
	await(t, c, func() bool { r := c.watch.records[name]; return r != nil && r.uid != "" && r.wanted })
}

// AwaitGone waits until the watch has told that a group was deleted.
func AwaitGone(t *testing.T, c *Cluster, name string) {
	await(t, c, func() bool { r := c.watch.records[name]; return r == nil || !r.gone.IsZero() })
}

// Kept is how many groups the watch knows, and of how many it has the status.
func Kept(c *Cluster) (known, detailed int) {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	for _, r := range c.watch.records {
		known++
		if r.group != nil {
			detailed++
		}
	}
	return known, detailed
}

// PruneErrors prunes with a bound of the test's own.
var PruneErrors = pruneErrors

func await(t *testing.T, c *Cluster, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c.watch.mu.Lock()
		ok := done()
		c.watch.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the watch did not tell")
		}
	}
}

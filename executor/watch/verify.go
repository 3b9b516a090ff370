// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// keepDeleted is how long the result of a group is kept that was deleted before it was
// received.
const keepDeleted = time.Hour

// verifyDoubtful reads the groups that are polled and that the watch does not know: they
// were deleted while nothing was watched, or never created. It also drops results that
// were not received.
func (g *Groups) verifyDoubtful(ctx context.Context) {
	for _, name := range g.overdue() {
		tg := &v1alpha1.TaskGroup{}
		err := g.config.Client.Get(ctx, client.ObjectKey{Namespace: g.config.Namespace, Name: name}, tg)
		switch {
		case err == nil:
			g.mu.Lock()
			g.observe(compact(tg), false)
			g.mu.Unlock()
		case apierrors.IsNotFound(err):
			g.mu.Lock()
			g.lose(name)
			g.mu.Unlock()
		case !errors.Is(err, context.Canceled):
			g.config.Log.Info("Reading a TaskGroup failed; it will be retried", "name", name, "error", err.Error())
			return
		}
	}
}

// overdue returns the names that have been doubtful for long enough.
func (g *Groups) overdue() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, r := range g.records {
		if len(r.waiters) == 0 && !r.deleted.IsZero() && time.Since(r.deleted) > keepDeleted {
			delete(g.records, name)
		}
	}
	if g.synced.IsZero() || time.Since(g.synced) < g.config.Doubt {
		return nil
	}
	var names []string
	for name, since := range g.doubtful {
		if time.Since(since) >= g.config.Doubt {
			names = append(names, name)
		}
	}
	return names
}

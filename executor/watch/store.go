// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Add stores a group that was created.
func (g *Groups) Add(obj any) error { return g.Update(obj) }

// Update stores a group that was changed.
func (g *Groups) Update(obj any) error {
	tg, err := groupOf(obj)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.observe(tg, true)
	return nil
}

// Delete records that a group was deleted.
func (g *Groups) Delete(obj any) error {
	tg, err := groupOf(obj)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lose(tg.Name)
	return nil
}

// Replace stores a list of all groups: after the start, and after a break from which the
// watch could not be resumed. A group that the watch reported and that is missing from
// the list was deleted: a list is never older than the events before it. A group that the
// watch has not reported may have been created since, and is read first.
func (g *Groups) Replace(list []any, _ string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	listed := make(map[string]struct{}, len(list))
	for _, obj := range list {
		tg, err := groupOf(obj)
		if err != nil {
			return err
		}
		listed[tg.Name] = struct{}{}
		g.observe(tg, true)
	}
	for name, r := range g.records {
		if _, ok := listed[name]; ok {
			continue
		}
		switch {
		case !r.wanted:
			delete(g.records, name)
		case !r.deleted.IsZero() || r.finished:
		case r.watched:
			g.lose(name)
		default:
			g.doubtful[name] = time.Now()
		}
	}
	g.synced, g.refused, g.failure = time.Now(), time.Time{}, nil
	return nil
}

// Resync does nothing: polls are notified of every change.
func (g *Groups) Resync() error { return nil }

func groupOf(obj any) (*v1alpha1.TaskGroup, error) {
	tg, ok := obj.(*v1alpha1.TaskGroup)
	if !ok {
		return nil, fmt.Errorf("watching TaskGroups: got a %T", obj)
	}
	return tg, nil
}

// observe stores the state of a group, which the watch reported or a read returned.
func (g *Groups) observe(tg *v1alpha1.TaskGroup, watched bool) {
	r := g.records[tg.Name]
	if r == nil {
		r = &record{}
		g.records[tg.Name] = r
	}
	delete(g.doubtful, tg.Name)
	reason, finished := tg.Status.Reason(), tg.Status.IsFinished()
	replaced := r.uid != "" && r.uid != tg.UID
	r.watched = watched
	r.uid, r.deleted, r.finished, r.reason, r.group = tg.UID, time.Time{}, finished, reason, nil
	if finished && g.config.Observe != nil {
		g.config.Observe(tg)
	}
	if finished && r.wanted {
		r.group = tg
	}
	if finished || replaced {
		r.wake()
	}
}

// lose records that a group was deleted. The result of a finished group is kept until it
// is received: the TTL may delete the group at any time.
func (g *Groups) lose(name string) {
	delete(g.doubtful, name)
	r := g.records[name]
	if r == nil {
		return
	}
	if !r.wanted {
		delete(g.records, name)
		return
	}
	r.deleted = time.Now()
	r.wake()
}

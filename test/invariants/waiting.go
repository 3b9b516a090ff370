// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// waitingSettles is how long after a group began to wait, or after an object of the
// namespace was deleted, the operator may still read and report.
const waitingSettles = 15 * time.Second

// waitingIsFree is I40: groups that are suspended, or whose Job a queue holds, cause no
// request. It looks at the times at which every unfinished group of a namespace waits.
func waitingIsFree(ix *index) []Violation {
	var found []Violation
	for _, w := range ix.waits() {
		for i := range ix.Requests {
			r := &ix.Requests[i]
			if r.User.Username != ix.opts.Operator || r.Object.Namespace != w.namespace || r.Verb == "watch" || r.Object.Resource == "leases" {
				continue
			}
			if r.Received.Before(w.from.Add(waitingSettles)) || !r.Received.Before(w.to) {
				continue
			}
			last := ix.revisionAt(r.Received)
			found = append(found, Violation{
				Group: w.namespace + "/*", Before: w.revision, After: last,
				Message: fmt.Sprintf("the operator's %s of %s/%s while every group of the namespace waits", r.Verb, r.Object.Resource, r.Object.Subresource),
			})
		}
	}
	return found
}

// waitingTime is a time at which every unfinished group of a namespace waits.
type waitingTime struct {
	namespace string
	from, to  time.Time
	revision  int64
}

// waits follows the history and returns all such times.
func (ix *index) waits() []waitingTime {
	state := map[string]*namespaceState{}
	began := map[string]waitingTime{}
	var all []waitingTime
	for _, e := range ix.Events {
		namespace := e.Object.GetNamespace()
		if state[namespace] == nil {
			state[namespace] = &namespaceState{suspended: map[types.UID]bool{}, held: map[types.UID]bool{}}
		}
		state[namespace].follow(e)
		known, open := began[namespace]
		switch waiting := state[namespace].waits(); {
		case waiting && !open:
			began[namespace] = waitingTime{namespace: namespace, from: e.At, revision: e.Revision}
		case open && (!waiting || e.Type == watch.Deleted):
			known.to = e.At
			all = append(all, known)
			delete(began, namespace)
			if waiting {
				// The operator may learn that a Job no longer exists before it learns that its
				// group is, and reads both.
				began[namespace] = waitingTime{namespace: namespace, from: e.At, revision: e.Revision}
			}
		}
	}
	for _, open := range began {
		open.to = ix.End.Add(time.Nanosecond) // the end of the history belongs to it
		all = append(all, open)
	}
	return all
}

// namespaceState is whether each unfinished group of a namespace is suspended, and
// whether a queue holds its newest Job.
type namespaceState struct{ suspended, held map[types.UID]bool }

func (n *namespaceState) follow(e Event) {
	switch obj := e.Object.(type) {
	case *batchv1.Job:
		if owner := ownerOf(obj); owner != "" {
			n.held[owner] = e.Type != watch.Deleted && isHeld(obj)
		}
	case *v1alpha1.TaskGroup:
		if e.Type == watch.Deleted || finished(obj) {
			delete(n.suspended, obj.UID)
			return
		}
		n.suspended[obj.UID] = obj.Spec.Suspend && obj.Status.Reason() == v1alpha1.ReasonSuspended && !obj.Spec.Cancel
		if obj.Spec.Cancel || obj.Spec.Suspend {
			n.held[obj.UID] = false
		}
	}
}

func isHeld(job *batchv1.Job) bool {
	return job.DeletionTimestamp == nil && job.Spec.Suspend != nil && *job.Spec.Suspend
}

func (n *namespaceState) waits() bool {
	for uid, suspended := range n.suspended {
		if !suspended && !n.held[uid] {
			return false
		}
	}
	return len(n.suspended) > 0
}

// ownerOf is the UID of the TaskGroup that controls a Job; empty for none.
func ownerOf(job *batchv1.Job) types.UID {
	for _, owner := range job.OwnerReferences {
		if owner.Kind == "TaskGroup" {
			return owner.UID
		}
	}
	return ""
}

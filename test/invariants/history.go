// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
)

// Event is one version of one object.
type Event struct {
	Type watch.EventType
	// Revision is etcd's: it orders the events of all kinds.
	Revision int64
	// At is when the event was received.
	At time.Time
	// Object is a *v1alpha1.TaskGroup, a *batchv1.Job or a *corev1.Pod.
	Object client.Object
}

// History is what became of a cluster's TaskGroups, Jobs and pods.
type History struct {
	// Events are in the order of their revisions.
	Events []Event
	// Requests are the requests of the audit log, in the order of their arrival; empty
	// where there is none. What depends on who did something is then not checked.
	Requests []audit.Request
	// End is when the recording ended.
	End time.Time
}

// In is the part of a history that happened in some namespaces; all of it where
// none are named.
func (h *History) In(namespaces ...string) *History {
	if len(namespaces) == 0 {
		return h
	}
	return &History{
		Events: slices.DeleteFunc(slices.Clone(h.Events), func(e Event) bool {
			return !slices.Contains(namespaces, e.Object.GetNamespace())
		}),
		Requests: slices.DeleteFunc(slices.Clone(h.Requests), func(r audit.Request) bool {
			return !slices.Contains(namespaces, r.Object.Namespace)
		}),
		End: h.End,
	}
}

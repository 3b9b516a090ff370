// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
)

const (
	// firstLookup is when the warnings about an object are read for the second time.
	// The interval doubles with each read.
	firstLookup = 5 * time.Second
	// maxLookups bounds how often the warnings about an object are read. The last
	// read is after five minutes. Then a group that waits causes no request.
	maxLookups = 7
	// listInterval is how often the warnings of a namespace are listed at most, for
	// however many groups. Events have no watch cache: each list reads all events of
	// the namespace from etcd (k8s.io/kubernetes/pkg/kubeapiserver,
	// default_storage_factory_builder.go).
	listInterval = 5 * time.Second
)

// warningReasons are the reasons of events that explain why a Job has no pod or why
// a pod does not start (k8s.io/kubernetes/pkg/controller/job,
// .../pkg/kubelet/events, .../pkg/controller/volume/attachdetach).
var warningReasons = []string{
	"FailedCreate", "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedBinding",
}

// warnings reads warning events. One list of a namespace answers all groups in it.
type warnings struct {
	reader client.Reader
	clock  clock.PassiveClock

	mu         sync.Mutex
	namespaces map[string]*namespaceWarnings
}

type namespaceWarnings struct {
	mu     sync.Mutex
	listed time.Time
	// newest is the message of the newest warning about each object.
	newest map[types.UID]string
}

// about returns the newest warning about an object, and when it is to be read again;
// 0 for never.
func (w *warnings) about(ctx context.Context, lookup *evidence.Lookup, namespace string, object types.UID) (string, time.Duration, error) {
	now := w.clock.Now()
	if lookup.Reads >= maxLookups {
		return lookup.Message, 0, nil
	}
	if wait := lookup.NextAt.Sub(now); lookup.Reads > 0 && wait > 0 {
		return lookup.Message, wait, nil
	}
	newest, err := w.of(namespace).read(ctx, w.reader, namespace, now)
	if err != nil {
		return "", 0, err
	}
	if message := newest[object]; message != "" {
		lookup.Message = message
	}
	wait := firstLookup << lookup.Reads
	lookup.Reads++
	lookup.NextAt = now.Add(wait)
	if lookup.Reads >= maxLookups {
		wait = 0
	}
	return lookup.Message, wait, nil
}

func (w *warnings) of(namespace string) *namespaceWarnings {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.namespaces == nil {
		w.namespaces = map[string]*namespaceWarnings{}
	}
	for name, other := range w.namespaces {
		if name != namespace && w.clock.Now().Sub(other.listed) > time.Minute && other.mu.TryLock() {
			delete(w.namespaces, name)
			other.mu.Unlock()
		}
	}
	if w.namespaces[namespace] == nil {
		w.namespaces[namespace] = &namespaceWarnings{}
	}
	return w.namespaces[namespace]
}

// read lists the warnings of the namespace, unless that was done a moment ago.
func (n *namespaceWarnings) read(ctx context.Context, reader client.Reader, namespace string, now time.Time) (map[types.UID]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.listed.IsZero() && now.Sub(n.listed) < listInterval {
		return n.newest, nil
	}
	var list corev1.EventList
	if err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"type": corev1.EventTypeWarning}); err != nil {
		return nil, fmt.Errorf("listing the warning events of namespace %s: %w", namespace, err)
	}
	newest := map[types.UID]*corev1.Event{}
	for i := range list.Items {
		e := &list.Items[i]
		if !slices.Contains(warningReasons, e.Reason) {
			continue
		}
		if known := newest[e.InvolvedObject.UID]; known == nil || lastSeen(known).Before(lastSeen(e)) {
			newest[e.InvolvedObject.UID] = e
		}
	}
	n.listed, n.newest = now, make(map[types.UID]string, len(newest))
	for uid, e := range newest {
		n.newest[uid] = warningMessage(e)
	}
	return n.newest, nil
}

// lastSeen is when an event occurred for the last time, in either of the two APIs.
func lastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// warningMessage is the message of a Job's event, or reason and message of a pod's.
func warningMessage(e *corev1.Event) string {
	if e.Reason == "FailedCreate" {
		return strings.TrimPrefix(e.Message, "Error creating: ")
	}
	return e.Reason + ": " + e.Message
}

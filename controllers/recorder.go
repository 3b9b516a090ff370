// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/tools/reference"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	reportingController = "taskgroup-operator"
	// maxWaitingEvents bounds the events that wait while the API server is unavailable.
	maxWaitingEvents = 2048
	// eventSenders is how many events are created concurrently.
	eventSenders = 4
	// lastEventsTime is how long a terminating process may take to send the waiting
	// events: the next leader should not have to wait for it.
	lastEventsTime = time.Second
)

// eventRetry is the backoff of creating an event, over a minute.
var eventRetry = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 7}

// Recorder is an events.EventRecorder for events that occur once per object. It creates
// and forgets them. The recorder of client-go keeps each event for six minutes to count
// repetitions: 4 KiB for every group that finished in that time.
type Recorder struct {
	client   client.Client
	instance string
	waiting  chan *eventsv1.Event
}

var _ events.EventRecorder = (*Recorder)(nil)

// NewRecorder returns a Recorder that creates events with c, whose scheme must include
// them, in the name of this instance of the operator. Nothing is sent before Start.
func NewRecorder(c client.Client, instance string) *Recorder {
	return &Recorder{client: c, instance: instance, waiting: make(chan *eventsv1.Event, maxWaitingEvents)}
}

// Eventf implements events.EventRecorder. It does not block: an event that exceeds
// maxWaitingEvents is logged instead.
//
//nolint:revive // so many arguments because of the interface
func (r *Recorder) Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any) {
	event, err := r.event(regarding, related)
	if err != nil {
		logf.Log.Error(err, "no event", "reason", reason)
		return
	}
	event.Type, event.Reason, event.Action = eventType, reason, action
	event.Note = fmt.Sprintf(note, args...)
	select {
	case r.waiting <- event:
	default:
		logf.Log.Info("too many events wait: this one is dropped", "namespace", event.Namespace, "name", event.Regarding.Name, "reason", reason)
	}
}

func (r *Recorder) event(regarding, related runtime.Object) (*eventsv1.Event, error) {
	about, err := reference.GetReference(r.client.Scheme(), regarding)
	if err != nil {
		return nil, fmt.Errorf("referring to an event's object: %w", err)
	}
	now := metav1.NowMicro()
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: about.Namespace, Name: util.GenerateEventName(about.Name, now.UnixNano())},
		EventTime:           now,
		ReportingController: reportingController,
		ReportingInstance:   r.instance,
		Regarding:           *about,
	}
	if related == nil {
		return event, nil
	}
	if event.Related, err = reference.GetReference(r.client.Scheme(), related); err != nil {
		return nil, fmt.Errorf("referring to what an event's object relates to: %w", err)
	}
	return event, nil
}

// Start sends events until ctx is done, and then the waiting ones for at most
// lastEventsTime. It implements manager.Runnable.
func (r *Recorder) Start(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastEventsTime, cancel) })()
	var senders sync.WaitGroup
	for range eventSenders {
		senders.Go(func() { r.sendUntil(ctx, sending) })
	}
	senders.Wait()
	return nil
}

// sendUntil sends until ctx is done and nothing waits, or sending is done.
func (r *Recorder) sendUntil(ctx, sending context.Context) {
	for sending.Err() == nil {
		select {
		case event := <-r.waiting:
			r.send(sending, event)
			continue
		default:
		}
		select {
		case event := <-r.waiting:
			r.send(sending, event)
		case <-ctx.Done():
			if len(r.waiting) == 0 {
				return
			}
		}
	}
}

// send creates an event, with retries. Its name is unique, so an event whose creation
// was not answered is not created twice.
func (r *Recorder) send(ctx context.Context, event *eventsv1.Event) {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, eventRetry, func(ctx context.Context) (bool, error) {
		last = r.client.Create(ctx, event)
		if apierrors.IsAlreadyExists(last) {
			last = nil
		}
		// Refused permanently: the namespace is being deleted, or RBAC denies it.
		return last == nil || apierrors.IsForbidden(last) || apierrors.IsNotFound(last) || apierrors.IsInvalid(last), nil
	})
	if err == nil {
		err = last
	}
	if err != nil {
		logf.FromContext(ctx).Info("an event was not created", "namespace", event.Namespace, "name", event.Regarding.Name,
			"reason", event.Reason, "error", err.Error())
	}
}

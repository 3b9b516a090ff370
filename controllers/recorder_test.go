// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// sink is an API server for events, which answers the first requests with errors.
type sink struct {
	client.Client
	answers []error
	tries   atomic.Int64
}

func newSink(t *testing.T, answers ...error) *sink {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), eventsv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	s := &sink{answers: answers}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if try := int(s.tries.Add(1)); try <= len(s.answers) && s.answers[try-1] != nil {
				return s.answers[try-1]
			}
			return c.Create(ctx, obj, opts...)
		},
	}).Build()
	return s
}

func (s *sink) events(t *testing.T) []eventsv1.Event {
	t.Helper()
	var list eventsv1.EventList
	if err := s.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestRecorder(t *testing.T) {
	kind := schema.GroupResource{Group: "events.k8s.io", Resource: "events"}
	down := errors.New("connection refused")
	cases := map[string]struct {
		answers []error
		events  int
		tries   int
	}{
		"at once":                        {nil, 1, 1},
		"an API server that comes back":  {[]error{down, down, down}, 1, 4},
		"one that was created unnoticed": {[]error{down, apierrors.NewAlreadyExists(kind, "x")}, 0, 2},
		"a namespace that goes":          {[]error{apierrors.NewForbidden(kind, "x", errors.New("being terminated"))}, 0, 1},
		"an API server that stays away":  {slices.Repeat([]error{down}, 100), 0, eventRetry.Steps},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSink(t, tc.answers...)
				r := NewRecorder(s, "here")
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- r.Start(ctx) }()
				tg := testkit.TaskGroup("g").Commands(1).Obj()
				r.Eventf(tg, testkit.Pod(testkit.Job(tg).Obj()).Obj(), "Normal", "Completed", "Finish", "%d of %d", 1, 1)
				time.Sleep(time.Hour)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				got := s.events(t)
				if len(got) != tc.events || int(s.tries.Load()) != tc.tries {
					t.Fatalf("%d events after %d requests, want %d after %d", len(got), s.tries.Load(), tc.events, tc.tries)
				}
				if len(got) == 0 {
					return
				}
				e := got[0]
				if e.Regarding.Kind != "TaskGroup" || e.Regarding.UID != tg.UID || e.Namespace != tg.Namespace || e.Related.Kind != "Pod" ||
					e.Note != "1 of 1" || e.Reason != "Completed" || e.Action != "Finish" || e.Type != "Normal" ||
					e.ReportingController == "" || e.ReportingInstance != "here" || e.EventTime.IsZero() || !strings.HasPrefix(e.Name, "g.") {
					t.Errorf("the event is %+v", e)
				}
			})
		})
	}
}

// TestRecorderSendsWhatWaits: a process that received SIGTERM sends the events that wait, and
// one that cannot ends nevertheless.
func TestRecorderSendsWhatWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		answers []error
		events  int
		took    time.Duration
	}{
		"an API server that is there": {nil, 10, 0},
		"one that is away":            {slices.Repeat([]error{errors.New("refused")}, 1000), 0, lastEventsTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSink(t, tc.answers...)
				r := NewRecorder(s, "here")
				tg := testkit.TaskGroup("g").Commands(1).Obj()
				for range tc.events {
					r.Eventf(tg, nil, "Normal", "Completed", "Finish", "done")
					time.Sleep(time.Microsecond)
				}
				if tc.events == 0 {
					r.Eventf(tg, nil, "Normal", "Completed", "Finish", "done")
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				began := time.Now()
				if err := r.Start(ctx); err != nil {
					t.Fatal(err)
				}
				if got := len(s.events(t)); got != tc.events || time.Since(began) != tc.took {
					t.Errorf("%d events sent in %v, want %d in %v", got, time.Since(began), tc.events, tc.took)
				}
			})
		})
	}
}

// TestRecorderDoesNotWait: more events than there is room for delay no caller.
func TestRecorderDoesNotWait(t *testing.T) {
	r := NewRecorder(newSink(t), "here")
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	for range maxWaitingEvents + 1 {
		r.Eventf(tg, nil, "Normal", "Completed", "Finish", "done")
	}
	if len(r.waiting) != maxWaitingEvents {
		t.Errorf("%d events wait, want %d", len(r.waiting), maxWaitingEvents)
	}
}

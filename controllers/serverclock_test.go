// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// skewed is a machine's clock that is off, and may be set at any time: its
// monotonic side counts on.
type skewed struct {
	// true is the time as the API server has it.
	truth time.Time
	off   time.Duration
	// counted is what the monotonic clock has counted.
	counted time.Duration
}

func (s *skewed) Now() time.Time                { return s.truth.Add(s.off) }
func (s *skewed) Since(time.Time) time.Duration { return s.counted }

func (s *skewed) pass(d time.Duration) {
	s.truth = s.truth.Add(d)
	s.counted += d
}

// answer is what the API server answers at a time of its own.
func answer(t *testing.T, c *ServerClock, header http.Header) {
	t.Helper()
	next := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{Header: header, Body: http.NoBody}, nil
	})
	response, err := c.Wrap(next).RoundTrip(&http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

func dated(at time.Time) http.Header {
	return http.Header{"Date": {at.UTC().Format(http.TimeFormat)}, "Audit-Id": {"a"}}
}

var clockErrors = map[string]time.Duration{
	"right": 0, "a second ahead": time.Second, "a second behind": -time.Second, "an hour ahead": time.Hour, "an hour behind": -time.Hour,
	"a day ahead": 24 * time.Hour, "a day behind": -24 * time.Hour,
}

func TestServerClock(t *testing.T) {
	begin := time.Date(2026, 3, 29, 0, 59, 58, 300e6, time.UTC)
	for name, off := range clockErrors {
		t.Run(name, func(t *testing.T) {
			local := &skewed{truth: begin, off: off}
			c := NewServerClock(local)
			for i := range 100 {
				answer(t, c, dated(local.truth))
				if wrong := c.Now().Sub(local.truth).Abs(); wrong > time.Second {
					t.Fatalf("after %d answers it is off by %s", i+1, wrong)
				}
				local.pass(310 * time.Millisecond)
				// The machine's clock is set, back and forth.
				local.off = -local.off
			}
			if wrong := c.Now().Sub(local.truth).Abs(); wrong > 400*time.Millisecond {
				t.Errorf("in the end it is off by %s", wrong)
			}
		})
	}
}

func TestServerClockTrustsOnlyTheServer(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	local := &skewed{truth: begin}
	c := NewServerClock(local)
	tomorrow := begin.Add(24 * time.Hour)
	for name, header := range map[string]http.Header{
		"a proxy's own answer": {"Date": {tomorrow.Format(http.TimeFormat)}},
		"no date":              {"Audit-Id": {"a"}},
		"a date that is none":  {"Audit-Id": {"a"}, "Date": {"tomorrow"}},
	} {
		answer(t, c, header)
		if got := c.Now(); !got.Equal(begin) {
			t.Errorf("%s: it is %s", name, got)
		}
	}
	// An answer that took an hour may be from any time within that hour.
	slow := roundTripper(func(*http.Request) (*http.Response, error) {
		asked := local.truth
		local.pass(time.Hour)
		return &http.Response{Header: dated(asked), Body: http.NoBody}, nil
	})
	response, err := c.Wrap(slow).RoundTrip(&http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got := c.Now(); !got.Equal(local.truth) {
		t.Errorf("after a slow answer it is %s, want %s", got, local.truth)
	}
}

// TestClocksOfAGroupAreTheServers runs a group's starting clock under a machine
// clock that is wrong, and is set meanwhile (invariant I24).
func TestClocksOfAGroupAreTheServers(t *testing.T) {
	for name, off := range clockErrors {
		t.Run(name, func(t *testing.T) {
			limits := v1alpha1.Timeouts{QueuedSeconds: new(int64(60)), StartingSeconds: new(int64(60))}
			tg := testkit.TaskGroup("g").Commands(1).Timeouts(limits).Obj()
			job := testkit.Job(tg).Obj()
			local := &skewed{truth: testkit.Created, off: off}
			r := newRig(t, tg, job, testkit.Pod(job).Obj())
			c := NewServerClock(local)
			r.Clock = c
			for range 29 {
				local.pass(2 * time.Second)
				answer(t, c, dated(local.truth))
				r.mustReconcile()
				local.off = -local.off
			}
			r.wantReason(v1alpha1.ReasonStarting)
			local.pass(4 * time.Second)
			r.mustReconcile()
			r.wantReason(v1alpha1.ReasonStopping)
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// ServerClock returns the time of the API server, independent of this machine's clock.
// Creation times, spec.timeouts and the times in the status are then of one clock. A
// local clock that is wrong by hours, or is set while a group waits, neither fails the
// group early nor keeps it waiting (invariant I24).
//
// It reads the Date header of every answer, which has a resolution of one second, and
// counts from there with the monotonic clock. A new process has the time with its
// first answer, so a restart has no effect. Until then it returns the local time.
type ServerClock struct {
	local clock.PassiveClock
	start time.Time

	mu sync.Mutex
	// ahead is how far the server's clock is ahead of start plus the monotonic time
	// since then.
	ahead time.Duration
}

var _ clock.PassiveClock = (*ServerClock)(nil)

// NewServerClock starts from a local clock. After that it uses only its Since.
func NewServerClock(local clock.PassiveClock) *ServerClock {
	return &ServerClock{local: local, start: local.Now()}
}

// Now returns the API server's time.
func (c *ServerClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without the monotonic reading, which is the local clock's.
	return c.start.Add(c.elapsed() + c.ahead).Round(0)
}

// Since returns the time since t, which is of the API server's clock.
func (c *ServerClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *ServerClock) elapsed() time.Duration { return c.local.Since(c.start) }

// Wrap reads the time from the answers of a transport.
func (c *ServerClock) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		sent := c.elapsed()
		answer, err := next.RoundTrip(request)
		if err == nil {
			c.observe(answer.Header, sent, c.elapsed())
		}
		return answer, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// observe corrects the clock by as little as an answer requires: at some time between
// sent and received, the server's clock showed its Date or less than a second more. A
// proxy may answer instead, with its own Date; such answers carry no Audit-Id and are
// ignored.
func (c *ServerClock) observe(header http.Header, sent, received time.Duration) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Audit-Id") == "" {
		return
	}
	least := date.Sub(c.start) - received
	most := date.Add(time.Second).Sub(c.start) - sent
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = min(max(c.ahead, least), most)
}

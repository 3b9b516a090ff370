package controllers

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// ServerClock tells the time of the API server, whatever this machine's clock
// says: creation times, the clocks of spec.timeouts and what the status holds are
// then all of one clock, and one of ours that is off by hours or is set while a
// group waits neither ends the group early nor keeps it waiting (invariant I24).
//
// It reads the Date of every answer, which is a second wide, and lets the
// monotonic clock count from there. A new process knows the time with its first
// answer, so a restart changes nothing either. Until then it tells our own time.
type ServerClock struct {
	local clock.PassiveClock
	start time.Time

	mu sync.Mutex
	// ahead is by how much the server's clock is ahead of start plus what the
	// monotonic clock has counted since.
	ahead time.Duration
}

var _ clock.PassiveClock = (*ServerClock)(nil)

// NewServerClock starts from a local clock, of which only Since is asked again.
func NewServerClock(local clock.PassiveClock) *ServerClock {
	return &ServerClock{local: local, start: local.Now()}
}

// Now is the API server's time.
func (c *ServerClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without the monotonic reading: it is the local clock's.
	return c.start.Add(c.elapsed() + c.ahead).Round(0)
}

// Since is how long ago something was that is told in the API server's time.
func (c *ServerClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *ServerClock) elapsed() time.Duration { return c.local.Since(c.start) }

// Wrap reads the time off the answers that a transport brings.
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

// observe corrects the clock by as little as an answer demands: the server was
// at its Date, or less than a second later, at some time between the two. What is
// between us and the API server may answer in its place, with a time of its own;
// it does not know of audit IDs.
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

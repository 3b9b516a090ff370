// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// connectDelay is how long a request waits for the one before it until it gets a connection of
// its own. A small object takes a twentieth of it.
const connectDelay = 50 * time.Millisecond

// economical sends requests one after another on one connection as long as they are short,
// and more of them at a time if they are not. A handshake takes more of a pod's processor
// time than its small objects do, while its Python is starting.
//
// The connections of long reads and of long writes are bounded separately: an upload, such
// as the commit of results, must not wait until the downloads of later tasks are finished.
type economical struct {
	next http.RoundTripper
	// first is held by the request that may use the first connection.
	first chan struct{}
	// reads and writes are held by the requests that did not wait for it any longer.
	reads, writes chan struct{}
}

func newEconomical(next http.RoundTripper) *economical {
	return &economical{
		next: next, first: make(chan struct{}, 1),
		reads: make(chan struct{}, maxConnections), writes: make(chan struct{}, maxConnections),
	}
}

// RoundTrip implements http.RoundTripper.
func (e *economical) RoundTrip(r *http.Request) (*http.Response, error) {
	held, err := e.acquire(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	release := sync.OnceFunc(func() { <-held })
	response, err := e.next.RoundTrip(r)
	if err != nil {
		release()
		return nil, err
	}
	response.Body = &releasing{response.Body, release}
	return response, nil
}

// acquire returns the channel that the request holds an element of.
func (e *economical) acquire(r *http.Request) (chan struct{}, error) {
	select {
	case e.first <- struct{}{}:
		return e.first, nil
	default:
	}
	timer := time.NewTimer(connectDelay)
	defer timer.Stop()
	select {
	case e.first <- struct{}{}:
		return e.first, nil
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	own := e.writes
	if IsRead(r) {
		own = e.reads
	}
	select {
	case e.first <- struct{}{}:
		return e.first, nil
	case own <- struct{}{}:
		return own, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// releasing is the body of a response, after which the connection is free.
type releasing struct {
	io.ReadCloser
	release func()
}

// Read implements io.Reader.
func (b *releasing) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

// Close implements io.Closer.
func (b *releasing) Close() error {
	err := b.ReadCloser.Close()
	b.release()
	return err
}

// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Lifetime is how long evidence may be acted on. A process that was stopped in
// between would otherwise act on what another operator may have changed since.
const Lifetime = 500 * time.Millisecond

// ErrTooOld is the error of a request that was not sent because its evidence was
// too old. The next pass collects it again.
var ErrTooOld = errors.New("the evidence for the request is too old: not sent")

type notAfterKey struct{}

// SendBefore lets a Fence refuse the requests of ctx after a time. It counts from
// when the evidence was collected, however long that took: a slow API server delays
// the operator, but never blocks it.
func SendBefore(ctx context.Context, notAfter time.Time) context.Context {
	return context.WithValue(ctx, notAfterKey{}, notAfter)
}

// Fence returns a wrapper of transports that refuses requests whose evidence is too
// old, and calls refused for each. It belongs directly in front of the connection
// ([k8s.io/client-go/rest.Config.Wrap]), so that a process that was stopped anywhere
// between its evidence and its request is caught when it continues. A deadline of
// the context would also interrupt requests that were sent, of which it would then
// be unknown whether they took effect.
func Fence(refused func()) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return fence{next, refused} }
}

type fence struct {
	next    http.RoundTripper
	refused func()
}

// RoundTrip implements http.RoundTripper.
func (f fence) RoundTrip(req *http.Request) (*http.Response, error) {
	if notAfter, ok := req.Context().Value(notAfterKey{}).(time.Time); ok && time.Now().After(notAfter) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		f.refused()
		return nil, ErrTooOld
	}
	return f.next.RoundTrip(req)
}

package controllers

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// decisionLife is how long what a pass saw may be acted on. A process that was
// stopped in between wakes up with a decision that another may have taken since.
const decisionLife = 500 * time.Millisecond

// errDecisionTooOld is a request that was not sent: the next pass looks again.
var errDecisionTooOld = errors.New("what was seen is too old to act on: not sent")

type notAfterKey struct{}

// sendBefore lets a Fence refuse the requests of ctx from a time on.
func sendBefore(ctx context.Context, notAfter time.Time) context.Context {
	return context.WithValue(ctx, notAfterKey{}, notAfter)
}

// Fence sends no request whose decision has grown old. It goes right in front of
// the connection ([k8s.io/client-go/rest.Config.Wrap]), so that a process that was
// stopped anywhere between its look and its write is caught by the clock when it
// goes on. A deadline of the context would also cut short requests that are
// under way, of which nobody then knows whether they took effect.
func Fence(next http.RoundTripper) http.RoundTripper { return fence{next} }

type fence struct{ next http.RoundTripper }

func (f fence) RoundTrip(req *http.Request) (*http.Response, error) {
	if notAfter, ok := req.Context().Value(notAfterKey{}).(time.Time); ok && time.Now().After(notAfter) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errDecisionTooOld
	}
	return f.next.RoundTrip(req) //nolint:wrapcheck // a RoundTripper passes errors on as they are
}

// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// How long a call waits for an API server that does not answer, refused
// connections and calls that hang alike. It is short for a shorter reason: a group
// that is not sent fails for good, while Cancel and Receive are answered "not now"
// and can be called again. A caller's context may end them sooner.
const (
	sendPatience = time.Minute
	// callPatience is the retry timeout of Cancel, Receive, and every other read.
	callPatience = 10 * time.Second
)

// backoff is between two tries.
var backoff = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 5}

// persist retries while the API server does not answer, until a timeout is
// over. The error is then the last answer or, where there was none, a
// silentError; if the caller's context is done, it is that context's.
func persist(ctx context.Context, patience time.Duration, call func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := backoff
	var last error
	for {
		err := call(limited)
		if err == nil || (!isTransient(err) && !errors.Is(err, limited.Err())) {
			return err
		}
		if limited.Err() == nil {
			last = err
		}
		select {
		case <-limited.Done():
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case last != nil:
				return last
			}
			return silentError(patience)
		case <-time.After(pause.Step()):
		}
	}
}

// silentError is an API server that took a call and did not answer it in time. It
// is not context.DeadlineExceeded, which is the caller's own.
type silentError time.Duration

// Error has for how long no answer came.
func (e silentError) Error() string {
	return fmt.Sprintf("the API server did not answer within %s", time.Duration(e))
}

func isSilent(err error) bool {
	_, ok := errors.AsType[silentError](err)
	return ok
}

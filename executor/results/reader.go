// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Reader reads results. All fields are required.
type Reader struct {
	// Objects opens objects.
	Objects ObjectReader
	// Cache is shared by all readers of a cluster.
	Cache *Cache
	// CacheDir returns the folder for files that the dispatcher fetches from this machine.
	CacheDir func() (string, error)
	// Warn receives the problems that do not change the results.
	Warn func(error)
}

// retryTimeout is how long a store may fail until a read is given up: less than a client
// of the bridge waits for a response.
const retryTimeout = time.Minute

// retry repeats a read of a store while the store or the network fails.
func retry(ctx context.Context, read func() error) error {
	pause := wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 5}
	begun := time.Now()
	for {
		err := read()
		if !store.IsTransient(err) || time.Since(begun) >= retryTimeout {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause.Step()):
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRedirects(t *testing.T) {
	tests := map[string]struct {
		method, from, to string
		want             bool
	}{
		"same scheme":    {"GET", "https://a/", "https://b/", true},
		"to a safer one": {"GET", "http://a/", "https://b/", true},
		"to a worse one": {"GET", "https://a/", "http://a/", false},
		"to a file":      {"GET", "https://a/", "file:///etc/passwd", false},
		"PUT to GET":     {"PUT", "https://a/", "https://b/", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, err := http.NewRequest(test.method, test.from, nil)
			next, nextErr := http.NewRequest(http.MethodGet, test.to, nil)
			if err != nil || nextErr != nil {
				t.Fatal(err, nextErr)
			}
			if err := checkRedirect(next, []*http.Request{before}); (err == nil) != test.want || err != nil && !errors.Is(err, ErrRedirect) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestMaxConnections requires that a server may have more reads at a time than a pod.
func TestMaxConnections(t *testing.T) {
	const reads = 12
	SetMaxConnections(reads)
	t.Cleanup(func() { SetMaxConnections(8) })
	client := FixedClient()
	var waiting atomic.Int32
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if waiting.Add(1) == reads {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var done sync.WaitGroup
	for range reads {
		done.Go(func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
		})
	}
	done.Wait()
}

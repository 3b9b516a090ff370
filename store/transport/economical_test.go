// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestShortRequestsShareAConnection requires one handshake for requests that are short,
// reads and writes, also if they are sent at the same time.
func TestShortRequestsShareAConnection(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "content")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := PrivateClient(func() (*x509.CertPool, error) { return roots, nil }, nil)
	defer client.CloseIdleConnections()

	send := func(method string) error {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL, strings.NewReader("body"))
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	}
	// The handshake itself may take longer than connectDelay on a busy machine.
	if err := send(http.MethodGet); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := errors.Join(send(http.MethodPut), send(http.MethodGet)); err != nil {
			t.Fatal(err)
		}
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("%d connections for short requests, want 1", got)
	}
}

// lasting is the body of a response that lasts until it is closed.
type lasting struct{ ctx context.Context }

func (b lasting) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }
func (b lasting) Close() error             { return nil }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestLongRequestsDoNotBlock requires that uploads are sent while as many downloads as
// there may be take forever, that further downloads wait, and that waiting ends with the
// request.
func TestLongRequestsDoNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		e := newEconomical(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent.Add(1)
			return &http.Response{StatusCode: http.StatusOK, Body: lasting{r.Context()}}, nil
		}))
		// send returns the body of a response, which occupies its connection until it is closed.
		send := func(ctx context.Context, method string) (io.Closer, error) {
			request, err := http.NewRequestWithContext(ctx, method, "https://host/", nil)
			if err != nil {
				return nil, err
			}
			response, err := e.RoundTrip(request)
			if err != nil {
				return nil, err
			}
			return response.Body, nil
		}
		// One on the first connection, the others on their own.
		reads := maxConnections + 1
		responses := make([]io.Closer, reads)
		var all sync.WaitGroup
		for i := range reads {
			all.Go(func() {
				var err error
				if responses[i], err = send(t.Context(), http.MethodGet); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		begun := time.Now()
		upload, err := send(t.Context(), http.MethodPut)
		if err != nil || time.Since(begun) != connectDelay {
			t.Fatalf("an upload beside long downloads: %v after %s", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := send(ctx, http.MethodGet); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a download beside %d others: %v", reads, err)
		}
		// The end of any of them lets the next one begin.
		if err := errors.Join(responses[3].Close(), upload.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := send(t.Context(), http.MethodGet); err != nil {
			t.Fatal(err)
		}
		if got, want := sent.Load(), int32(reads+2); got != want {
			t.Errorf("%d requests were sent, want %d", got, want)
		}
	})
}

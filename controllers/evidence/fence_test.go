// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
)

// TestFence checks that a process that was stopped between its evidence and its
// request does not send the request.
func TestFence(t *testing.T) {
	sent, refused := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent++ }))
	defer server.Close()
	httpClient := &http.Client{Transport: evidence.Fence(func() { refused++ })(http.DefaultTransport)}
	get := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := httpClient.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	if err := get(evidence.SendBefore(t.Context(), time.Now().Add(-time.Millisecond))); !errors.Is(err, evidence.ErrTooOld) {
		t.Errorf("old evidence got %v, want %v", err, evidence.ErrTooOld)
	}
	for _, ctx := range []context.Context{t.Context(), evidence.SendBefore(t.Context(), time.Now().Add(time.Hour))} {
		if err := get(ctx); err != nil {
			t.Error(err)
		}
	}
	if sent != 2 || refused != 1 {
		t.Errorf("%d requests were sent and %d refused, want 2 and 1", sent, refused)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
)

// serverOf starts an API server of a version, to which the first calls fail.
func serverOf(t *testing.T, v version.Info, failures int) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL, WrapTransport: func(next http.RoundTripper) http.RoundTripper {
		return failing{next, &failures}
	}}
}

type failing struct {
	next http.RoundTripper
	left *int
}

func (f failing) RoundTrip(req *http.Request) (*http.Response, error) {
	if *f.left > 0 {
		*f.left--
		return nil, errors.New("connection refused")
	}
	return f.next.RoundTrip(req)
}

// TestAwaitServer checks that the operator waits for an API server that does not
// answer, and stops at one that is too old.
func TestAwaitServer(t *testing.T) {
	for name, tc := range map[string]struct {
		minor    string
		failures int
		ok       bool
	}{
		"at once":                {"37", 0, true},
		"after an outage":        {"37", 3, true},
		"the oldest":             {"33", 0, true},
		"too old":                {"32", 0, false},
		"too old, of a provider": {"32+", 0, false},
		"unknown":                {"", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := serverOf(t, version.Info{Major: "1", Minor: tc.minor}, tc.failures)
			server, err := awaitServer(t.Context(), config, time.Millisecond, logr.Discard())
			if (err == nil) != tc.ok || (tc.ok && server.Minor != tc.minor) {
				t.Errorf("got %v, %v; want success %v", server, err, tc.ok)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := awaitServer(ctx, serverOf(t, version.Info{}, 1), time.Hour, logr.Discard()); !errors.Is(err, context.Canceled) {
		t.Errorf("a process that received SIGTERM gets %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package gcs_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
)

const tokenPath = "/computeMetadata/v1/instance/service-accounts/default/token"

// sendToken responds as the metadata server does.
func sendToken(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_, _ = io.WriteString(w, `{"access_token":"t","expires_in":3600,"token_type":"Bearer"}`)
}

// TestMetadataServer: in a pod of GKE the metadata server may start after the runner.
func TestMetadataServer(t *testing.T) {
	newServer := func(t *testing.T) *faulty.Store { return faulty.New(t) }
	tests := map[string]struct {
		start  func(t *testing.T) *faulty.Store
		faults []faulty.Fault
		want   string
	}{
		"ready":            {newServer, nil, ""},
		"starts late":      {func(t *testing.T) *faulty.Store { return faulty.NewLate(t, time.Second) }, nil, ""},
		"503":              {newServer, slices.Repeat([]faulty.Fault{faulty.Status(503)}, 2), ""},
		"reset":            {newServer, slices.Repeat([]faulty.Fault{faulty.Reset}, 2), ""},
		"throttled":        {newServer, slices.Repeat([]faulty.Fault{faulty.Status(429)}, 2), ""},
		"something else":   {newServer, slices.Repeat([]faulty.Fault{faulty.Status(200)}, 2), ""},
		"no such identity": {newServer, []faulty.Fault{faulty.Status(404)}, "404 Not Found: give the pod's service account a workload identity"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := test.start(t)
			server.Fail("GET", tokenPath, append(test.faults, sendToken)...)
			t.Setenv("STORAGE_EMULATOR_HOST", "")
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
			t.Setenv("HOME", t.TempDir())
			t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
			var authorization string
			bucket := faulty.New(t)
			bucket.Fail("PUT", "/b/k", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				authorization = r.Header.Get("Authorization")
				next.ServeHTTP(w, r)
			})
			s := store.New(map[string]store.Backend{"gs": gcs.NewAt(bucket.URL, strings.TrimPrefix(server.URL, "http://"))})
			s.RetryTimeout = time.Minute
			_, err := s.Put(t.Context(), "gs://b/k", strings.NewReader("data"))
			if test.want == "" && (err != nil || authorization != "Bearer t") {
				t.Errorf("authorization %q, error %v", authorization, err)
			}
			if test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "gs://b/k: no token: "+test.want) || !store.IsPermanent(err)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

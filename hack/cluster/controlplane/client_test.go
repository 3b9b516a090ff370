// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNotReady(t *testing.T) {
	tests := map[string]struct {
		node    string
		wantErr string
	}{
		"ready":           {`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, ""},
		"no report yet":   {`{}`, "the node did not report yet"},
		"network missing": {`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no CNI"}]}}`, "the node is not ready: no CNI"},
		"pods still stay off": {`{"spec":{"taints":[{"key":"node.kubernetes.io/not-ready"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`,
			"the node is still marked as not ready"},
		"other taints do not matter": {`{"spec":{"taints":[{"key":"gpu"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var node nodeObject
			if err := json.Unmarshal([]byte(test.node), &node); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := node.notReady(); err != nil {
				got = err.Error()
			}
			if got != test.wantErr {
				t.Errorf("notReady = %q, want %q", got, test.wantErr)
			}
		})
	}
}

func TestCreateSendsTheManifest(t *testing.T) {
	const manifest = "kind: PersistentVolume\n"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != manifest || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/yaml" {
			t.Errorf("request: %s of %q (%s), %v", r.Method, body, r.Header.Get("Content-Type"), err)
		}
		if r.URL.Path != "/api/v1/persistentvolumes" {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"kind":"Status","message":"it already exists"}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer api.Close()
	client := &Client{server: api.URL, http: api.Client()}
	if err := client.Create(t.Context(), "/api/v1/persistentvolumes", []byte(manifest)); err != nil {
		t.Error(err)
	}
	err := client.Create(t.Context(), "/api/v1/existing", []byte(manifest))
	if err == nil || !strings.HasSuffix(err.Error(), "/api/v1/existing to the API server: 409 Conflict: it already exists") {
		t.Errorf("Create = %v, want the message of the API server", err)
	}
}

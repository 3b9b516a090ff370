// SPDX-License-Identifier: Apache-2.0

package results

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

func TestOfBackend(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "manifest") }))
	defer server.Close()
	reader := OfBackend(&web.Store{})
	for name, uri := range map[string]string{
		"another folder": server.URL + "/b/manifest.json",
		"out and away":   server.URL + "/a/../b/manifest.json",
		"a query":        server.URL + "/a/manifest.json?b",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := reader.Open(t.Context(), server.URL+"/a/", uri); err == nil {
				t.Errorf("Open(%s) read what is not below the place", uri)
			}
		})
	}
	object, _, err := reader.Open(t.Context(), server.URL+"/a", server.URL+"/a/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if raw, err := io.ReadAll(object); err != nil || string(raw) != "manifest" {
		t.Errorf("read %q, %v", raw, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

// testRemove removes objects; one that does not exist is no error.
func (target Target) testRemove(t *testing.T) {
	server := faulty.New(t)
	backends := target.Connect(t, server.URL, store.Parts{}, []string{"exists", "missing", "kept"})
	for _, backend := range backends {
		if _, ok := backend.(store.Remover); !ok {
			t.Skip("the store cannot remove objects")
		}
	}
	s := store.New(backends)
	s.RetryTimeout, s.Stall = retryTimeout, stall
	for _, name := range []string{"exists", "kept"} {
		server.Set("/bucket/"+name, content)
	}
	server.Fail("ABORT", "/bucket/exists", repeat(faulty.Status(503))...)
	server.Fail("ABORT", "/bucket/kept", forever(faulty.Status(403))...)
	for name, want := range map[string]string{"exists": "", "missing": "", "kept": "403 Forbidden"} {
		err := s.Remove(t.Context(), target.URI(server.URL, name))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("removing %s: %v, want %q", name, err, want)
		}
	}
	if server.Get("/bucket/exists") != nil || server.Get("/bucket/kept") == nil {
		t.Errorf("after %q", server.Requests())
	}
}

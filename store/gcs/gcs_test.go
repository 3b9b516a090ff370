// SPDX-License-Identifier: Apache-2.0

package gcs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
)

func stores() *store.Stores {
	s := store.New(map[string]store.Backend{"gs": &gcs.Store{}})
	s.RetryTimeout = 2 * time.Second
	return s
}

func emulator(t *testing.T) *faulty.Store {
	t.Helper()
	server := faulty.New(t)
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL)
	return server
}

func TestKeys(t *testing.T) {
	for name, key := range map[string]string{
		"plain": "a/b", "a space": "a b", "signs": "a%b+c?d#e&f=g", "escaped dots": "%2e%2e/a", "two slashes": "a//b", "unicode": "größe/日本",
	} {
		t.Run(name, func(t *testing.T) {
			server, s := emulator(t), stores()
			uri := "gs://bucket/" + key
			if _, err := s.Put(t.Context(), uri, strings.NewReader("data")); err != nil {
				t.Fatal(err)
			}
			if got := server.Get("/bucket/" + key); string(got) != "data" {
				t.Errorf("stored elsewhere: %q", server.Requests())
			}
			path, err := s.Fetch(t.Context(), uri, filepath.Join(t.TempDir(), "a"))
			if raw, _ := os.ReadFile(path); err != nil || string(raw) != "data" {
				t.Errorf("fetched %q, %v", raw, err)
			}
		})
	}
}

func TestCommitCreatesOnce(t *testing.T) {
	server, s := emulator(t), stores()
	server.Fail("PUT", "/b/m", faulty.Status(503))
	if _, err := s.Commit(t.Context(), "gs://b/m", strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), "gs://b/m", strings.NewReader("second")); !errors.Is(err, store.ErrExists) {
		t.Errorf("error %v", err)
	}
	if got := string(server.Get("/b/m")); got != "first" {
		t.Errorf("the store has %q", got)
	}
}

func TestLargeObjectsAreOneRequestThatIsResumed(t *testing.T) {
	server, s := emulator(t), stores()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	server.Set("/b/k", data)
	server.Fail("GET", "/b/k", faulty.Truncate(1<<19))
	path, err := s.Fetch(t.Context(), "gs://b/k", filepath.Join(t.TempDir(), "a"))
	if raw, _ := os.ReadFile(path); err != nil || !bytes.Equal(raw, data) {
		t.Errorf("fetched %d bytes, %v", len(raw), err)
	}
	if want := []string{"GET /b/k", "GET /b/k bytes=524288-"}; !slices.Equal(server.Requests(), want) {
		t.Errorf("requests %q", server.Requests())
	}
}

func TestErrors(t *testing.T) {
	server, s := emulator(t), stores()
	server.Fail("GET", "/b/k", faulty.Status(403), faulty.Status(302, "Location", "file:///etc/passwd"))
	for _, want := range []string{"gs://b/k: 403 Forbidden", "gs://b/k: 302 Found", "gs://b/k: 404 Not Found"} {
		if _, err := s.Fetch(t.Context(), "gs://b/k", filepath.Join(t.TempDir(), "a")); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestWithoutCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
	_, err := stores().Fetch(t.Context(), "gs://b/k", filepath.Join(t.TempDir(), "a"))
	if err == nil || !strings.HasPrefix(err.Error(), "gs://b/k: no credentials: mount a key and name it in GOOGLE_APPLICATION_CREDENTIALS") || !store.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}

// TestProbe takes one request: Google's condition needs no verification.
func TestProbe(t *testing.T) {
	server, s := emulator(t), stores()
	if err := s.Probe(t.Context(), "gs://b/begun", []byte("pod")); err != nil {
		t.Error(err)
	}
	if want := []string{"PUT /b/begun"}; !slices.Equal(server.Requests(), want) {
		t.Errorf("requests %q", server.Requests())
	}
	if err := s.Probe(t.Context(), "gs://b/begun", []byte("another pod")); !errors.Is(err, store.ErrExists) || store.IsPermanent(err) || store.IsTransient(err) {
		t.Errorf("error %v", err)
	}
}

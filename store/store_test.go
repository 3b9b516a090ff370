// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// remote is a Backend without files.
type remote map[string]string

func (r remote) Open(_ context.Context, uri string, _ store.Position) (*store.Object, error) {
	data, ok := r[uri]
	if !ok {
		return nil, &store.StatusError{Code: 404}
	}
	return &store.Object{ReadCloser: io.NopCloser(strings.NewReader(data)), Size: int64(len(data))}, nil
}

func (remote) Put(context.Context, string, *store.Body) error    { return nil }
func (remote) Commit(context.Context, string, *store.Body) error { return nil }

func TestFetchCopiesWhatIsNoFile(t *testing.T) {
	stores := &store.Stores{Backends: map[string]store.Backend{"mem": remote{"mem://b/k": "data"}}}
	dest := filepath.Join(t.TempDir(), "in", "0")
	path, err := stores.Fetch(t.Context(), "mem://b/k", dest)
	if raw, readErr := os.ReadFile(dest); err != nil || readErr != nil || path != dest || string(raw) != "data" {
		t.Errorf("Fetch = %q, %v: %q, %v", path, err, raw, readErr)
	}
	if _, err := stores.Fetch(t.Context(), "mem://b/x", dest); err == nil || err.Error() != "mem://b/x: 404 Not Found" {
		t.Errorf("err = %v", err)
	}
}

// hasty is a server that refuses a body before it reads it.
type hasty struct {
	remote

	commits int
}

func (h *hasty) Commit(_ context.Context, uri string, body *store.Body) error {
	h.commits++
	if _, ok := h.remote[uri]; ok {
		_, _ = io.CopyN(io.Discard, body.Reader(), 1)
		return store.ErrExists
	}
	raw, err := io.ReadAll(body.Reader())
	h.remote[uri] = string(raw)
	return err
}

func (*hasty) MustVerifyCondition(string) bool { return true }

// TestVerificationKeepsTheDigest requires the record of the object whose second commit was
// refused, and no verification after that.
func TestVerificationKeepsTheDigest(t *testing.T) {
	server := &hasty{remote: remote{}}
	stores := &store.Stores{Backends: map[string]store.Backend{"mem": server}}
	for i, uri := range []string{"mem://b/first", "mem://b/second"} {
		record, err := stores.Commit(t.Context(), uri, strings.NewReader("data"))
		if want := "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"; err != nil || record.SHA256 != want || server.commits != i+2 {
			t.Errorf("record %+v, %d commits, error %v", record, server.commits, err)
		}
	}
}

// TestRefusedCommitVerifies requires that an object that exists already is evidence that the
// server honours the condition.
func TestRefusedCommitVerifies(t *testing.T) {
	server := &hasty{remote: remote{"mem://b/first": ""}}
	stores := &store.Stores{Backends: map[string]store.Backend{"mem": server}}
	if _, err := stores.Commit(t.Context(), "mem://b/first", strings.NewReader("data")); !errors.Is(err, store.ErrExists) {
		t.Errorf("error %v", err)
	}
	if _, err := stores.Commit(t.Context(), "mem://b/second", strings.NewReader("data")); err != nil || server.commits != 2 {
		t.Errorf("%d commits, error %v", server.commits, err)
	}
}

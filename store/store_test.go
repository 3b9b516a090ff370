package store_test

import (
	"context"
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

package bridge

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store"
)

// bucket is a store of objects in memory.
type bucket struct {
	store.Backend
	objects map[string]string
}

func (b bucket) Open(_ context.Context, uri string, _ store.Position) (*store.Object, error) {
	text, ok := b.objects[uri]
	if strings.Contains(uri, "broken") {
		return nil, &store.StatusError{Code: 403, Text: "https://host/x?X-Amz-Signature=" + secret}
	}
	if !ok {
		return nil, &store.StatusError{Code: 404}
	}
	return &store.Object{ReadCloser: io.NopCloser(strings.NewReader(text)), Size: int64(len(text))}, nil
}

func TestStoreReader(t *testing.T) {
	reader := objectReaders{others: map[string]executor.ObjectReader{"s3": StoreReader(bucket{objects: map[string]string{"s3://b/out/m": "text", "s3://b/other": "x"}})}}
	object, size, err := reader.Open(t.Context(), "s3://b/out", "s3://b/out/m")
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(object); string(raw) != "text" || size != 4 || err != nil {
		t.Errorf("got %q, %d, %v", raw, size, err)
	}
	if _, _, err := reader.Open(t.Context(), "s3://b/out", "s3://b/out/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an object that is not there: %v", err)
	}
	if _, _, err := reader.Open(t.Context(), "s3://b/out", "s3://b/other"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an object of somebody else: %v", err)
	}
	if _, _, err := reader.Open(t.Context(), "s3://b/out", "s3://b/out/broken"); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a store that refuses: %v", err)
	}
	if _, _, err := reader.Open(t.Context(), "gs://b/out", "gs://b/out/m"); err == nil || !strings.Contains(err.Error(), "gs://") {
		t.Errorf("a store that is not known: %v", err)
	}
}

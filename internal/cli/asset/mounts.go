package asset

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// patience is how long a person waits for a store that fails.
const patience = 15 * time.Second

// Stores are those that pods have, with this machine's credentials.
func Stores() *store.Stores {
	http, blobs := &web.Store{}, &azure.Store{}
	stores := store.New(map[string]store.Backend{
		"http": http, "https": http, "s3": &s3.Store{}, "gs": &gcs.Store{}, "azblob": blobs, "blob": blobs,
	})
	stores.Patience = patience
	return stores
}

// Mounts are where volumes of the pods are mounted on this machine.
type Mounts struct {
	Reader
	places []place
}

// place is a path in the pods, and the same folder here.
type place struct{ there, here string }

// Add adds a place, as /path/in/pods=/folder/here.
func (m *Mounts) Add(text string) error {
	there, here, ok := strings.Cut(text, "=")
	if !ok || !strings.HasPrefix(there, "/") || here == "" {
		return fmt.Errorf("--mount is /path/in/the/pods=FOLDER, not %q", text)
	}
	absolute, err := filepath.Abs(here)
	if err != nil {
		return fmt.Errorf("resolving --mount: %w", err)
	}
	m.places = append(m.places, place{there: filepath.Clean(there), here: absolute})
	return nil
}

// Fetch reads below a mount what the pods wrote below theirs.
func (m *Mounts) Fetch(ctx context.Context, uri, dest string) (string, error) {
	return m.Reader.Fetch(ctx, m.local(uri), dest)
}

func (m *Mounts) local(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme != "file" {
		return uri
	}
	for _, place := range m.places {
		if rest, ok := strings.CutPrefix(parsed.Path, place.there); ok && (rest == "" || rest[0] == '/') {
			return (&url.URL{Scheme: "file", Path: place.here + rest}).String()
		}
	}
	return uri
}

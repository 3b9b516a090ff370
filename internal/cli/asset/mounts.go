package asset

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/backends"
)

// retryTimeout is how long a user waits for a store that fails.
const retryTimeout = 15 * time.Second

// Stores returns the stores that pods have, with the credentials of this machine.
func Stores() *store.Stores {
	stores := store.New(backends.All())
	stores.RetryTimeout = retryTimeout
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

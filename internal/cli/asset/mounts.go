// SPDX-License-Identifier: Apache-2.0

package asset

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/backends"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// retryTimeout is how long a user waits for a store that fails.
const retryTimeout = 15 * time.Second

// Stores returns the stores that pods have, with the credentials of this machine, and the
// gateway of the cluster.
func Stores(gateway *Gateway) *store.Stores {
	all := backends.All()
	all[contract.GatewayScheme] = gateway
	stores := store.New(all)
	stores.RetryTimeout = retryTimeout
	return stores
}

// Mounts are the folders of this machine at which volumes of the pods are mounted.
type Mounts struct {
	Reader
	// volumes are keyed by the path in the pods.
	volumes map[string]string
}

// Add adds a volume, as /path/in/pods=/folder/here.
func (m *Mounts) Add(text string) error {
	pod, folder, ok := strings.Cut(text, "=")
	if !ok || !strings.HasPrefix(pod, "/") || folder == "" {
		return fmt.Errorf("--mount is /path/in/the/pods=FOLDER, not %q", text)
	}
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("resolving --mount: %w", err)
	}
	if m.volumes == nil {
		m.volumes = map[string]string{}
	}
	m.volumes[filepath.Clean(pod)] = absolute
	return nil
}

// Paths returns the folders of this machine by the path in the pods.
func (m *Mounts) Paths() map[string]string { return m.volumes }

// Fetch reads below a mount what the pods wrote below theirs.
func (m *Mounts) Fetch(ctx context.Context, uri, dest string) (string, error) {
	return m.Reader.Fetch(ctx, m.local(uri), dest)
}

func (m *Mounts) local(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme != "file" || len(m.volumes) == 0 {
		return uri
	}
	return local.URI(local.Translate(m.volumes, parsed.Path))
}

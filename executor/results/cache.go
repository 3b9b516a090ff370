// SPDX-License-Identifier: Apache-2.0

package results

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// Error texts, and streams that were assembled from their segments, are files below the
// cache folder: errorsDir/<uid>/error-<node>.txt, stdout-<node>.txt. The dispatcher copies
// them right after Receive, and may receive once more.
const (
	// errorsDir keeps them apart from what else is in the folder.
	errorsDir = "taskgroup-errors"
	// keepErrors is how long they stay.
	keepErrors = 24 * time.Hour
	// maxErrors is of how many groups, the newest, they stay; keepFresh holds
	// whatever their number, since a dispatcher may be about to copy them.
	maxErrors = 10000
	keepFresh = time.Hour
	// pruneEvery is how often a folder is looked through at most.
	pruneEvery = 10 * time.Minute
)

// ownPrefixes are the prefixes of the files in a group's folder.
var ownPrefixes = []string{"error-", string(contract.AssetStdout) + "-", string(contract.AssetStderr) + "-", newPrefix}

// Cache writes files for the dispatcher. It remembers when folders were pruned, and the
// folder that replaces a cache folder that cannot be written.
type Cache struct {
	mu       sync.Mutex
	pruned   map[string]time.Time
	fallback string
}

// WriteError writes why a task failed to a file and returns it as an asset.
func (r *Reader) WriteError(tg *v1alpha1.TaskGroup, node contract.NodeID, text string) (contract.AssetUpdate, error) {
	path, err := r.writeCached(tg, fmt.Sprintf("error-%d.txt", node), []byte(text))
	if err != nil {
		return contract.AssetUpdate{}, fmt.Errorf("writing the error of node %d: %w", node, err)
	}
	return contract.AssetUpdate{RemoteURI: local.URI(path), Size: int64(len(text)), DigestAlg: "sha256", Digest: digest([]byte(text))}, nil
}

// writeCached writes a file for the dispatcher below the cache folder, or below a
// temporary folder if the cache folder cannot be written. The folder of a group is
// named by its UID: a dispatch ID may be any text.
func (r *Reader) writeCached(tg *v1alpha1.TaskGroup, name string, raw []byte) (string, error) {
	dir, err := r.CacheDir()
	if err == nil {
		dir = filepath.Join(dir, errorsDir)
		err = WriteFile(filepath.Join(dir, string(tg.UID), name), raw, 0o600)
	}
	if err != nil {
		fallback, fallbackErr := r.Cache.fallbackDir()
		if fallbackErr == nil {
			fallbackErr = WriteFile(filepath.Join(fallback, string(tg.UID), name), raw, 0o600)
		}
		if fallbackErr != nil {
			return "", fmt.Errorf("set cache_dir to a folder that can be written: %w", errors.Join(err, fallbackErr))
		}
		dir = fallback
	}
	r.Cache.prune(dir, time.Now())
	return filepath.Join(dir, string(tg.UID), name), nil
}

// fallbackDir returns a temporary folder of this process alone.
func (c *Cache) fallbackDir() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fallback == "" {
		dir, err := os.MkdirTemp("", errorsDir+"-")
		if err != nil {
			return "", err
		}
		c.fallback = dir
	}
	return c.fallback, nil
}

// prune removes what no dispatcher will copy any more. What cannot be removed is left: a
// full folder must not fail a Receive.
func (c *Cache) prune(dir string, now time.Time) {
	c.mu.Lock()
	due := now.Sub(c.pruned[dir]) >= pruneEvery
	if due {
		if c.pruned == nil {
			c.pruned = map[string]time.Time{}
		}
		c.pruned[dir] = now
	}
	c.mu.Unlock()
	if due {
		pruneErrors(dir, now, maxErrors)
	}
}

// pruneErrors removes the folders that were written to last more than keepErrors ago,
// and the oldest of more than most.
func pruneErrors(dir string, now time.Time, most int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	type folder struct {
		name string
		age  time.Duration
	}
	var folders []folder
	for _, entry := range entries {
		// A folder's time is the time of the last file that was put into it.
		if info, err := entry.Info(); err == nil && info.IsDir() {
			folders = append(folders, folder{entry.Name(), now.Sub(info.ModTime())})
		}
	}
	slices.SortFunc(folders, func(a, b folder) int { return cmp.Compare(a.age, b.age) })
	for i, old := range folders {
		if old.age > keepErrors || (i >= most && old.age > keepFresh) {
			removeErrors(filepath.Join(dir, old.name))
		}
	}
}

// removeErrors removes the files of a group, and its folder where nothing else is in it.
func removeErrors(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if name := entry.Name(); slices.ContainsFunc(ownPrefixes, func(own string) bool { return strings.HasPrefix(name, own) }) {
			_ = os.Remove(filepath.Join(dir, name))
		}
	}
	_ = os.Remove(dir)
}

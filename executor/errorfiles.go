package executor

import (
	"bytes"
	"cmp"
	"context"
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

// maxAssembled bounds what is assembled of a stream, in bytes: more than the runner
// keeps by default.
const maxAssembled = 80 << 20

// ownPrefixes are those of the files in a group's folder.
var ownPrefixes = []string{"error-", string(contract.AssetStdout) + "-", string(contract.AssetStderr) + "-", newPrefix}

// errorFiles remembers when folders were pruned, and the folder that replaces a cache
// folder that cannot be written.
type errorFiles struct {
	mu       sync.Mutex
	pruned   map[string]time.Time
	fallback string
}

// writeError writes why a task failed to a file and returns it as an asset.
func (e *Executor) writeError(tg *v1alpha1.TaskGroup, node contract.NodeID, text string) (contract.AssetUpdate, error) {
	path, err := e.writeCached(tg, fmt.Sprintf("error-%d.txt", node), []byte(text))
	if err != nil {
		return contract.AssetUpdate{}, fmt.Errorf("writing the error of node %d: %w", node, err)
	}
	return contract.AssetUpdate{RemoteURI: local.URI(path), Size: int64(len(text)), DigestAlg: "sha256", Digest: digest(text)}, nil
}

// writeCached writes a file for the dispatcher below the cache folder, or below a
// temporary folder if the cache folder cannot be written. The folder of a group is
// named by its UID: a dispatch ID may be any text.
func (e *Executor) writeCached(tg *v1alpha1.TaskGroup, name string, raw []byte) (string, error) {
	dir, err := e.cacheDir()
	if err == nil {
		dir = filepath.Join(dir, errorsDir)
		err = writeFile(filepath.Join(dir, string(tg.UID), name), raw, 0o600)
	}
	if err != nil {
		fallback, fallbackErr := e.cluster.errorFiles.fallbackDir()
		if fallbackErr == nil {
			fallbackErr = writeFile(filepath.Join(fallback, string(tg.UID), name), raw, 0o600)
		}
		if fallbackErr != nil {
			return "", fmt.Errorf("set cache_dir to a folder that can be written: %w", errors.Join(err, fallbackErr))
		}
		dir = fallback
	}
	e.cluster.errorFiles.prune(dir, time.Now())
	return filepath.Join(dir, string(tg.UID), name), nil
}

// fallbackDir returns a temporary folder of this process alone.
func (f *errorFiles) fallbackDir() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fallback == "" {
		dir, err := os.MkdirTemp("", errorsDir+"-")
		if err != nil {
			return "", err
		}
		f.fallback = dir
	}
	return f.fallback, nil
}

// writeStream assembles a stream of a killed task from its segments in a file, and
// returns it as an asset; nil if there are no segments.
func (e *Executor) writeStream(ctx context.Context, tg *v1alpha1.TaskGroup, node contract.NodeID, key contract.AssetKey) (*contract.AssetUpdate, error) {
	at := contract.AttemptURI(outputsOf(tg), string(tg.UID), tg.Status.Attempt)
	var text bytes.Buffer
	for number := 1; text.Len() < maxAssembled; number++ {
		segment, err := readObject(ctx, e.objects, outputsOf(tg), contract.SegmentURI(at, node, key, number), maxAssembled)
		if err != nil {
			break
		}
		text.Write(segment)
	}
	if text.Len() == 0 {
		return nil, nil
	}
	path, err := e.writeCached(tg, fmt.Sprintf("%s-%d.txt", key, node), text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("writing the %s of node %d: %w", key, node, err)
	}
	return &contract.AssetUpdate{RemoteURI: local.URI(path), Size: int64(text.Len()), DigestAlg: "sha256", Digest: digest(text.String())}, nil
}

// prune removes what no dispatcher will copy any more. What cannot be removed is left: a
// full folder must not fail a Receive.
func (f *errorFiles) prune(dir string, now time.Time) {
	f.mu.Lock()
	due := now.Sub(f.pruned[dir]) >= pruneEvery
	if due {
		if f.pruned == nil {
			f.pruned = map[string]time.Time{}
		}
		f.pruned[dir] = now
	}
	f.mu.Unlock()
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
		// A folder's time is that of the last file that was put into it.
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

package executor

import (
	"bytes"
	"cmp"
	"context"
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

// errorFiles remembers when folders were pruned.
type errorFiles struct {
	mu     sync.Mutex
	pruned map[string]time.Time
}

// writeError writes why a task failed to a file and returns it as an asset. The
// folder is named by the TaskGroup: a dispatch ID is anybody's text.
func (e *Executor) writeError(tg *v1alpha1.TaskGroup, status *v1alpha1.TaskStatus, unread error) (contract.AssetUpdate, error) {
	dir, err := e.cacheDir()
	if err != nil {
		return contract.AssetUpdate{}, err
	}
	dir = filepath.Join(dir, errorsDir)
	text := errorText(tg, status, unread)
	path := filepath.Join(dir, string(tg.UID), fmt.Sprintf("error-%d.txt", status.NodeID))
	if err := writeFile(path, []byte(text), 0o600); err != nil {
		return contract.AssetUpdate{}, errorf(ErrConfiguration, "writing why node %d failed (%s): set cache_dir: %w", status.NodeID, status.Reason, err)
	}
	e.cluster.errorFiles.prune(dir, time.Now())
	return contract.AssetUpdate{RemoteURI: local.URI(path), Size: int64(len(text)), DigestAlg: "sha256", Digest: digest(text)}, nil
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
	dir, err := e.cacheDir()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, errorsDir)
	path := filepath.Join(dir, string(tg.UID), fmt.Sprintf("%s-%d.txt", key, node))
	if err := writeFile(path, text.Bytes(), 0o600); err != nil {
		return nil, errorf(ErrConfiguration, "writing the %s of node %d: set cache_dir: %w", key, node, err)
	}
	e.cluster.errorFiles.prune(dir, time.Now())
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

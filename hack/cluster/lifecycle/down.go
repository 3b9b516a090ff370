// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/mounts"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
)

// Both are much longer than it ever took; a machine may be busy.
const (
	endTimeout    = 10 * time.Second
	cgroupTimeout = 10 * time.Second
)

// Down removes a cluster and all that it took from the machine. It needs no
// state: what exists is found by the cluster's folder.
func Down(ctx context.Context, l layout.Layout) error {
	unlock, err := layout.Lock(l.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := clean(ctx, l); err != nil {
		return fmt.Errorf("removing cluster %s: %w", l.Name, err)
	}
	// A folder with foreign files stays; ours is empty now.
	if err := os.Remove(l.Dir); err != nil && !isNotEmpty(l.Dir) {
		return fmt.Errorf("removing the folder of cluster %s: %w", l.Name, err)
	}
	return nil
}

func isNotEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}

// clean ends everything at once instead of in a polite order: nothing of the
// state is kept, and an API server that loses etcd would wait for it for ever.
func clean(ctx context.Context, l layout.Layout) error {
	ours := isOurs(l)
	if err := release(ctx, l); err != nil {
		return err
	}
	if !ours {
		return nil
	}
	return removeContents(l, nil)
}

// isOurs reports whether the folder is a cluster's: by the state in it, or, where
// a user removed that from under a running cluster, by the run folder.
func isOurs(l layout.Layout) bool {
	if _, err := os.Stat(l.StateFile()); err == nil {
		return true
	}
	owner, err := os.ReadFile(ownerFile(l.RunDir()))
	return err == nil && string(owner) == l.Dir
}

// release gives back what the machine lent. Mounts go before any file is
// removed: below a mounted volume are files of other users.
func release(ctx context.Context, l layout.Layout) error {
	find := func() ([]process.Identity, error) { return running(l) }
	if err := process.Host.EndAll(find, endTimeout); err != nil {
		return err
	}
	// Only the folders where a node mounts: a mistyped --dir may be anything.
	for _, dir := range []string{l.RunDir(), l.KubeletData(), l.Containerd()} {
		if err := mounts.UnmountBelow(dir); err != nil {
			return err
		}
	}
	if err := network.Remove(ctx, l); err != nil {
		return err
	}
	if err := cgroup.Host.Remove(l.Cgroup(), cgroupTimeout); err != nil {
		return err
	}
	if err := node.RemoveLeftovers(l); err != nil {
		return err
	}
	return leaveMachine(l)
}

// running lists the processes of a cluster: those that are recorded, those that
// carry its marker (shims, above all), and those in its containers.
func running(l layout.Layout) ([]process.Identity, error) {
	found, err := process.Host.WithEnvironment(l.Marker())
	if err != nil {
		return nil, err
	}
	records, err := process.Records(l.PIDs())
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if process.Host.IsRunning(record.Identity) {
			found = append(found, record.Identity)
		}
	}
	pids, err := cgroup.Host.Processes(l.Cgroup())
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		if id, err := process.Host.Identify(pid); err == nil {
			found = append(found, id)
		}
	}
	return found, nil
}

// cleanButLogs cleans up after a start that failed. It continues when the start
// was interrupted, so it has no context of its own.
func cleanButLogs(l layout.Layout, state State) error {
	if err := release(context.Background(), l); err != nil {
		return fmt.Errorf("cleaning up (run \"cluster down --name %s\"): %w", l.Name, err)
	}
	state.Ready = false
	if err := state.save(l); err != nil {
		return err
	}
	return removeContents(l, []string{l.Logs(), l.StateFile()})
}

func removeContents(l layout.Layout, keep []string) error {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return fmt.Errorf("reading the folder of cluster %s: %w", l.Name, err)
	}
	// The state goes last: a folder without it would not be known as ours.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		return strings.Compare(orderKey(l, a), orderKey(l, b))
	})
	for _, entry := range entries {
		path := filepath.Join(l.Dir, entry.Name())
		if slices.Contains(keep, path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing the folder of cluster %s: %w", l.Name, err)
		}
	}
	return nil
}

func orderKey(l layout.Layout, entry fs.DirEntry) string {
	if entry.Name() == filepath.Base(l.StateFile()) {
		return "1"
	}
	return "0" + entry.Name()
}

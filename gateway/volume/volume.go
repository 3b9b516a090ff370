// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/singleflight"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

const (
	markerName, lockName       = ".taskgroup-gateway", ".lock"
	temporaryDir, namespaceDir = "temporary", "namespaces"
	folderMode                 = 0o750
)

// Config configures a Volume.
type Config struct {
	// Dir is the folder of the volume, which has to exist.
	Dir string
	// Quota returns the largest number of bytes of a namespace; 0 is no quota. A nil
	// function is no quota.
	Quota func(namespace string) int64
}

// Volume stores objects in a folder.
type Volume struct {
	config Config
	// id is the content of the marker file.
	id string
	// root is replaced when a lost volume is available again. Its methods follow no
	// link out of the folder.
	root atomic.Pointer[os.Root]
	// folders joins the creations of the same folder: no object is acknowledged before
	// the folders above it are flushed.
	folders singleflight.Group
	// reopening allows one attempt to reopen at a time.
	reopening sync.Mutex
	// unavailable is set after an error of the volume, until it is reopened.
	unavailable atomic.Bool

	mu   sync.Mutex
	lock *os.File
	// used are the bytes of the files of a namespace, and of those that are being
	// written.
	used map[string]int64
	// users counts the transfers of an object of the content, or of the results of a
	// group, by path. What is in use is not deleted.
	users map[string]int
	// touched are the objects of the content that were used since the last call of
	// Touched.
	touched map[string]bool
}

// Open opens a volume, deletes the temporary files of previous processes, and measures
// its namespaces. A new volume is initialized.
func Open(config Config) (*Volume, error) {
	v := &Volume{config: config, used: map[string]int64{}, users: map[string]int{}, touched: map[string]bool{}}
	root, err := os.OpenRoot(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the volume: %w", err)
	}
	v.root.Store(root)
	if err := v.prepare(root); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the volume %s: %w", config.Dir, err), v.Close())
	}
	return v, nil
}

// prepare makes a volume ready. A read-only volume with objects can be read.
func (v *Volume) prepare(root *os.Root) error {
	lock, err := acquire(root)
	isReadOnly := errors.Is(err, syscall.EROFS)
	if err != nil && !isReadOnly {
		return err
	}
	v.lock = lock
	if !isReadOnly {
		if err := initialize(root); err != nil {
			return err
		}
	}
	id, err := root.ReadFile(markerName)
	if err != nil {
		return fmt.Errorf("reading the marker file: %w", err)
	}
	v.id = string(id)
	if !isReadOnly {
		if err := errors.Join(root.RemoveAll(temporaryDir), root.Mkdir(temporaryDir, folderMode)); err != nil {
			return fmt.Errorf("deleting temporary files: %w", err)
		}
	}
	return v.measure(root)
}

// acquire locks the volume until the process terminates. Some file systems have no locks;
// the Deployment and the access mode of the volume prevent a second gateway then.
func acquire(root *os.Root) (*os.File, error) {
	lock, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		lock.Close()
		return nil, ErrInUse
	}
	return lock, nil
}

// initialize creates what is missing in a volume. The marker is the last.
func initialize(root *os.Root) error {
	if err := root.Mkdir(namespaceDir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := root.Lstat(markerName); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A crash may leave it empty. Then an empty marker identifies the volume.
	if err := root.WriteFile(markerName, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	return syncFolder(root, ".")
}

// measure adds the sizes of all objects.
func (v *Volume) measure(root *os.Root) error {
	if err := eachFile(root, namespaceDir, func(name string, size int64) {
		namespace, _, _ := strings.Cut(strings.TrimPrefix(name, namespaceDir+"/"), "/")
		v.used[namespace] += charge(size)
	}); err != nil {
		return fmt.Errorf("measuring the objects: %w", err)
	}
	return nil
}

// charge returns what a file of a size counts for the quota: file systems store whole
// blocks, and empty files are not free.
func charge(size int64) int64 {
	const block = 4096
	return max(1, (size+block-1)/block) * block
}

// Usage returns the bytes that count for the quota of each namespace.
func (v *Volume) Usage() map[string]int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.used)
}

// reserve adds to the usage of a namespace, or returns ErrQuota.
func (v *Volume) reserve(namespace string, bytes int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.config.Quota != nil {
		quota := v.config.Quota(namespace)
		if used := v.used[namespace]; quota > 0 && used+bytes > quota {
			return fmt.Errorf("%w: namespace %s uses %d of %d bytes, and the object needs %d: delete TaskGroups, or raise the quota", ErrQuota, namespace, used, quota, bytes)
		}
	}
	v.used[namespace] += bytes
	return nil
}

// free subtracts from the usage of a namespace.
func (v *Volume) free(namespace string, bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.used[namespace] -= bytes; v.used[namespace] <= 0 {
		delete(v.used, namespace)
	}
}

// use marks a path as being used until the returned function is called.
func (v *Volume) use(key string) func() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.users[key]++
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.users[key]--; v.users[key] == 0 {
			delete(v.users, key)
		}
	}
}

// touch records that an object exists and was used.
func (v *Volume) touch(l objectpath.Location) {
	if !l.IsContent() {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.touched[useKey(l)] = true
}

// Check returns an error that matches ErrUnavailable if the volume is lost. It reopens a
// volume that is available again.
func (v *Volume) Check() error {
	marker, err := v.root.Load().ReadFile(markerName)
	if err == nil && string(marker) == v.id {
		v.unavailable.Store(false)
		return nil
	}
	return v.reopen()
}

// reopen replaces the folder if it is the same volume.
func (v *Volume) reopen() error {
	v.reopening.Lock()
	defer v.reopening.Unlock()
	root, err := os.OpenRoot(v.config.Dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	marker, err := root.ReadFile(markerName)
	if err != nil || string(marker) != v.id {
		return errors.Join(fmt.Errorf("%w: its marker file is missing or of another volume", ErrUnavailable), root.Close())
	}
	lock, err := acquire(root)
	if err != nil && !errors.Is(err, syscall.EROFS) {
		return errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), root.Close())
	}
	v.mu.Lock()
	previous := v.lock
	v.lock = lock
	v.mu.Unlock()
	if previous != nil {
		previous.Close()
	}
	// The previous root is not closed: transfers may still use it.
	v.root.Store(root)
	v.unavailable.Store(false)
	return nil
}

// failed classifies an error, and has the next operation check a volume that fails.
func (v *Volume) failed(err error) error {
	err = v.classify(err)
	if errors.Is(err, ErrUnavailable) {
		v.unavailable.Store(true)
	}
	return err
}

// ready returns the folder, after it was reopened if the volume failed before.
func (v *Volume) ready() (*os.Root, error) {
	if v.unavailable.Load() {
		if err := v.Check(); err != nil {
			return nil, err
		}
	}
	return v.root.Load(), nil
}

// Close unlocks the volume.
func (v *Volume) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var err error
	if v.lock != nil {
		err = v.lock.Close()
	}
	return errors.Join(err, v.root.Load().Close())
}

// syncFolder flushes the names in a folder.
func syncFolder(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		// Some network file systems cannot flush a folder, and need not.
		err = nil
	}
	return errors.Join(err, f.Close())
}

// batch bounds the entries of a folder that are in memory.
const batch = 1024

// eachEntry calls visit for the entries of a folder, which may not exist.
func eachEntry(root *os.Root, dir string, visit func(fs.DirEntry) error) error {
	f, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		entries, err := f.ReadDir(batch)
		for _, entry := range entries {
			if err := visit(entry); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// eachFile calls visit for the files in a folder and in its folders.
func eachFile(root *os.Root, dir string, visit func(name string, size int64)) error {
	return eachEntry(root, dir, func(entry fs.DirEntry) error {
		name := dir + "/" + entry.Name()
		if entry.IsDir() {
			return eachFile(root, name, visit)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := root.Lstat(name)
		if err == nil {
			visit(name, info.Size())
		}
		return err
	})
}

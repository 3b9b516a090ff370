// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

// with returns stores of files on a file system that differs from this machine's.
func with(change func(*system)) *store.Stores {
	s := &Store{system: kernel}
	change(&s.system)
	all := store.New(map[string]store.Backend{"file": s})
	all.RetryTimeout = 2 * time.Second
	return all
}

func failing(err error) func(string, string) error {
	return func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: err} }
}

// TestFileSystemsWithoutACall commits and reads results on file systems that refuse calls
// which POSIX has.
func TestFileSystemsWithoutACall(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*system){
		"all calls":                     func(*system) {},
		"no links: SMB":                 func(s *system) { s.link = failing(syscall.EOPNOTSUPP) },
		"no links: FAT, FUSE":           func(s *system) { s.link = failing(syscall.EPERM) },
		"no links: seccomp":             func(s *system) { s.link = failing(syscall.ENOSYS) },
		"one name each":                 func(s *system) { s.link = failing(syscall.EMLINK) },
		"no links, no flags of renames": func(s *system) { s.link, s.renameNoReplace = failing(syscall.EPERM), failing(syscall.EINVAL) },
		"no links, no renameat2":        func(s *system) { s.link, s.renameNoReplace = failing(syscall.EOPNOTSUPP), failing(syscall.ENOSYS) },
		"no modes":                      func(s *system) { s.chmod = func(*os.File, os.FileMode) error { return syscall.EPERM } },
		"no flush: ENOSYS":              func(s *system) { s.sync = func(*os.File) error { return syscall.ENOSYS } },
		"no flush: EINVAL":              func(s *system) { s.sync = func(*os.File) error { return syscall.EINVAL } },
		"the reply of link was lost":    func(s *system) { s.link = loseReply(os.Link, syscall.EEXIST) },
		"the reply of rename was lost": func(s *system) {
			s.link, s.renameNoReplace = failing(syscall.EPERM), loseReply(renameNoReplace, syscall.ENOENT)
		},
		"the directory was stale at once": func(s *system) { s.open = failOnce(syscall.ESTALE) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			uri := "file://" + dir + "/out/manifest.json"
			if _, err := with(change).Put(t.Context(), "file://"+dir+"/out/0/output", strings.NewReader("result")); err != nil {
				t.Fatal(err)
			}
			if _, err := with(change).Commit(t.Context(), uri, strings.NewReader("first")); err != nil {
				t.Fatal(err)
			}
			if _, err := with(change).Commit(t.Context(), uri, strings.NewReader("second")); !errors.Is(err, store.ErrExists) {
				t.Errorf("error %v", err)
			}
			path, err := with(change).Fetch(t.Context(), uri, "")
			if raw, readErr := os.ReadFile(path); err != nil || string(raw) != "first" {
				t.Errorf("read %q, %v, %v", raw, err, readErr)
			}
			entries, err := os.ReadDir(filepath.Join(dir, "out"))
			if err != nil || len(entries) != 2 {
				t.Errorf("left %v, %v", entries, err)
			}
		})
	}
}

// loseReply succeeds once, and returns the error of the repeated request.
func loseReply(call func(string, string) error, err error) func(string, string) error {
	var done atomic.Bool
	return func(from, to string) error {
		callErr := call(from, to)
		if callErr == nil && done.CompareAndSwap(false, true) {
			return err
		}
		return callErr
	}
}

func failOnce(err error) func(string, int, os.FileMode) (*os.File, error) {
	var done atomic.Bool
	return func(path string, flag int, mode os.FileMode) (*os.File, error) {
		if done.CompareAndSwap(false, true) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return os.OpenFile(path, flag, mode)
	}
}

// TestOneCommitOnEveryFileSystem has many committers, of which one succeeds.
func TestOneCommitOnEveryFileSystem(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*system){
		"links":          func(*system) {},
		"renames":        func(s *system) { s.link = failing(syscall.EPERM) },
		"exclusive open": func(s *system) { s.link, s.renameNoReplace = failing(syscall.EPERM), failing(syscall.EINVAL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.CommitRace(t, func() *store.Stores { return with(change) }, "file://"+t.TempDir()+"/m")
		})
	}
}

// TestCommitThatBreaks leaves no part of an object behind where links do not exist.
func TestCommitThatBreaks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := func(s *system) {
		s.link, s.renameNoReplace = failing(syscall.EPERM), failing(syscall.EINVAL)
		s.sync = func(f *os.File) error {
			if filepath.Base(f.Name()) == "m" {
				return syscall.EIO
			}
			return nil
		}
	}
	if _, err := with(broken).Commit(t.Context(), "file://"+dir+"/m", strings.NewReader("m")); !errors.Is(err, syscall.EIO) || store.IsTransient(err) {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

// TestReadsOfNetworkFileSystems: the entry of a file that another node has created, or the
// server itself, may be late.
func TestReadsOfNetworkFileSystems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		remote bool
		err    error
		// lasts is how long opens fail, took at most how long Fetch takes if it fails.
		lasts, took time.Duration
		want        error
	}{
		"a late entry, NFS":          {true, syscall.ENOENT, 3 * time.Second, 0, nil},
		"no file, NFS":               {true, syscall.ENOENT, time.Hour, 10 * time.Second, fs.ErrNotExist},
		"no file, local":             {false, syscall.ENOENT, time.Second, 0, fs.ErrNotExist},
		"a stale handle":             {true, syscall.ESTALE, 3 * time.Second, 0, nil},
		"an error of the server":     {false, syscall.EIO, 3 * time.Second, 0, nil},
		"a broken disk":              {false, syscall.EIO, time.Hour, 10 * time.Second, syscall.EIO},
		"no permission, also on NFS": {true, syscall.EACCES, time.Second, 0, syscall.EACCES},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "a")
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				all := with(func(s *system) {
					s.isRemote = func(string) bool { return test.remote }
					s.open = func(path string, flag int, mode os.FileMode) (*os.File, error) {
						if time.Since(started) < test.lasts {
							return nil, &fs.PathError{Op: "open", Path: path, Err: test.err}
						}
						return os.OpenFile(path, flag, mode)
					}
				})
				all.RetryTimeout = 0
				_, err := all.Fetch(t.Context(), "file://"+path, "")
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(started); test.want != nil && took > test.took {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// TestProbe finds out what a volume does not allow, and what a user has to change.
func TestProbe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want string
	}{
		"a file system without any way": {syscall.EOPNOTSUPP, "operation not supported"},
		"read-only":                     {syscall.EROFS, "read-only file system: mount the volume of spec.assets.outputs without readOnly"},
		"no permission":                 {syscall.EACCES, "permission denied: let the user of the pod write to spec.assets.outputs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := with(func(s *system) {
				s.link, s.renameNoReplace = failing(test.err), failing(test.err)
				s.open = func(string, int, os.FileMode) (*os.File, error) { return nil, test.err }
			})
			err := all.Probe(t.Context(), "file://"+t.TempDir()+"/out/begun", []byte("pod"))
			if err == nil || !strings.Contains(err.Error(), "/out/begun: "+test.want) || store.IsTransient(err) || !errors.Is(err, test.err) {
				t.Errorf("error %v", err)
			}
		})
	}
	err := with(func(*system) {}).Probe(t.Context(), "file:///dev/null/out/begun", []byte("pod"))
	if err == nil || !store.IsPermanent(err) || !strings.HasSuffix(err.Error(), "not a directory: a part of the path of spec.assets.outputs is not a folder") {
		t.Errorf("error %v", err)
	}
}

// TestDamagedFile reads an output whose bytes are not the recorded ones.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	all := with(func(*system) {})
	uri := "file://" + t.TempDir() + "/a"
	if _, err := all.Put(t.Context(), uri, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	all.Expect(contract.Asset{URI: uri, Size: 1, SHA256: strings.Repeat("0", 64)})
	if _, err := all.Fetch(t.Context(), uri, ""); !errors.Is(err, store.ErrDigest) || store.IsTransient(err) {
		t.Errorf("error %v", err)
	}
}

// TestFlushThatFailed: the next commit does not succeed before the files of the failed
// one are on the disk.
func TestFlushThatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken, flushed := atomic.Bool{}, atomic.Int32{}
	broken.Store(true)
	s := with(func(s *system) {
		s.sync = func(f *os.File) error {
			if broken.Load() {
				return syscall.EIO
			}
			if filepath.Base(f.Name()) == "output" {
				flushed.Add(1)
			}
			return nil
		}
	})
	if _, err := s.Put(t.Context(), "file://"+dir+"/0/output", strings.NewReader("result")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), "file://"+dir+"/0/checkpoint.json", strings.NewReader("{}")); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v", err)
	}
	broken.Store(false)
	if _, err := s.Commit(t.Context(), "file://"+dir+"/manifest.json", strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	if flushed.Load() != 1 {
		t.Errorf("the output was flushed %d times before the manifest was committed", flushed.Load())
	}
}

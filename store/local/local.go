// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// syncWorkers is how many files are flushed at a time.
	syncWorkers = 8
	// resultMode lets other users read results, and keeps tasks of the same user, which
	// mount the same volume, from changing what was recorded.
	resultMode = 0o444
	// lateEntry is how long a name may be unknown to a network file system after
	// another machine created it. NFS caches the absence of a name in this order.
	lateEntry = 5 * time.Second
)

// Store is the Backend of file.
//
// Put leaves it to Commit to flush files. Nothing refers to an asset before the
// manifest that is committed, and the disk flushes many files in hardly more time than
// one.
type Store struct {
	system system

	mu sync.Mutex
	// pending are files and directories to be flushed.
	pending map[string]struct{}
	// missing is when a missing file was first looked for.
	missing map[string]time.Time
}

// New returns the Backend of file.
func New() *Store { return &Store{system: kernel} }

// Locate checks that the object is a regular file that can be opened.
func (s *Store) Locate(_ context.Context, uri string) (string, error) {
	path, err := Path(uri)
	if err != nil {
		return "", err
	}
	f, err := s.open(path)
	if err != nil {
		return "", err
	}
	_ = f.Close()
	return path, nil
}

// Open opens a regular file.
func (s *Store) Open(_ context.Context, uri string, _ store.Position) (*store.Object, error) {
	path, err := Path(uri)
	if err != nil {
		return nil, err
	}
	f, err := s.open(path)
	if err != nil {
		return nil, err
	}
	return &store.Object{ReadCloser: f, Size: -1}, nil
}

func (s *Store) open(path string) (*os.File, error) {
	// Without O_NONBLOCK the open of a named pipe would wait for its writer.
	f, err := s.system.open(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, s.readError(path, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = s.readError(path, err)
	case info.IsDir():
		err = errors.New("is a directory")
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	default:
		s.forget(path)
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

// readError marks the errors that a later read may not have. The server of a network
// file system may have been restarted (ESTALE, EIO), or the directory that this
// machine has cached may be older than the file (ENOENT).
func (s *Store) readError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EIO):
		return store.Transient(bare(err))
	case errors.Is(err, syscall.ENOENT) && s.system.isRemote(filepath.Dir(path)) && s.missingFor(path) < lateEntry:
		return store.Transient(bare(err))
	}
	return bare(err)
}

// missingFor returns how long a file has been looked for.
func (s *Store) missingFor(path string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing == nil {
		s.missing = map[string]time.Time{}
	}
	if _, ok := s.missing[path]; !ok {
		s.missing[path] = time.Now()
	}
	return time.Since(s.missing[path])
}

func (s *Store) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.missing, path)
}

// Put writes a temporary file and renames it.
func (s *Store) Put(_ context.Context, uri string, body *store.Body) error {
	path, err := Path(uri)
	if err != nil {
		return err
	}
	temporary, _, err := s.spool(path, body.Reader())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return bare(err)
	}
	s.note(path, filepath.Dir(path))
	return nil
}

// Remove implements store.Remover.
func (s *Store) Remove(_ context.Context, uri string) error {
	path, err := Path(uri)
	if err != nil {
		return err
	}
	return writeError(os.Remove(path))
}

// Path returns the path of a file URI.
func Path(text string) (string, error) {
	uri, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errors.New("malformed URI")
	case uri.Host != "" && uri.Host != "localhost":
		return "", fmt.Errorf("a file URI with host %q: write file:///path", uri.Host)
	case uri.RawQuery != "" || uri.ForceQuery || uri.Fragment != "":
		return "", errors.New("a file URI with a query or fragment: write ? as %3F and # as %23")
	case !filepath.IsAbs(uri.Path):
		return "", errors.New("a file URI without an absolute path: write file:///path")
	case store.HasDotSegments(uri.Path):
		return "", errors.New("a path with . or .. as a part of it")
	}
	return uri.Path, nil
}

// spool writes the bytes to a temporary file beside the object.
func (s *Store) spool(path string, r io.Reader) (temporary string, info fs.FileInfo, err error) {
	if err := s.makeDir(filepath.Dir(path)); err != nil {
		return "", nil, writeError(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", nil, writeError(err)
	}
	_, err = io.Copy(f, r)
	// CreateTemp sets 0600, but another user reads the results. A file system that
	// cannot change the mode has one of its own for all files.
	_ = s.system.chmod(f, resultMode)
	if err == nil {
		info, err = f.Stat()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", nil, bare(err)
	}
	return f.Name(), info, nil
}

// makeDir is os.MkdirAll that notes the directories in which it created entries.
func (s *Store) makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := s.makeDir(parent); err != nil {
			return err
		}
		s.note(parent)
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeError marks the errors that a later write may not have. An error of a flush is
// not among them: the kernel reports it once, and may have dropped the bytes.
func writeError(err error) error {
	if errors.Is(err, syscall.ESTALE) {
		return store.Transient(bare(err))
	}
	return bare(err)
}

// bare removes the operation and the path from a file error: the caller adds the URI.
func bare(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &linkErr):
		err = linkErr.Err
	case errors.As(err, &pathErr):
		err = pathErr.Err
	}
	if errors.Is(err, syscall.ENOENT) {
		return store.ErrNotExist
	}
	return err
}

package store

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
)

// syncWorkers is how many files are made durable at a time.
const syncWorkers = 8

// fileStore keeps objects as files: a volume that the pod mounts.
//
// Put leaves the work of making files durable to Commit. Nothing refers to an
// asset before the manifest that is committed, and the disk does many files in
// hardly more time than one.
type fileStore struct {
	mu sync.Mutex
	// pending are files and directories to be synced.
	pending map[string]struct{}
}

// Locate checks that the object is a regular file that can be opened.
func (s *fileStore) Locate(_ context.Context, uri string) (string, error) {
	path, err := filePath(uri)
	if err != nil {
		return "", err
	}
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	_ = f.Close()
	return path, nil
}

// Open opens a regular file.
func (s *fileStore) Open(_ context.Context, uri string, _ Position) (*Object, error) {
	path, err := filePath(uri)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	return &Object{ReadCloser: f, Size: -1}, nil
}

func openRegular(path string) (*os.File, error) {
	// Without O_NONBLOCK opening a named pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, plain(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = plain(err)
	case info.IsDir():
		err = errors.New("is a directory")
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

// Put writes a temporary file and renames it.
func (s *fileStore) Put(_ context.Context, uri string, body *Body) error {
	path, temporary, err := s.spool(uri, body.Reader())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return plain(err)
	}
	s.note(path, filepath.Dir(path))
	return nil
}

// Commit syncs all, then links a synced temporary file to its name: link(2),
// unlike rename(2), fails where the name is taken.
func (s *fileStore) Commit(_ context.Context, uri string, body *Body) error {
	path, temporary, err := s.spool(uri, body.Reader())
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	s.note(temporary)
	if err := s.syncPending(); err != nil {
		return plain(err)
	}
	if err := os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
		return ErrExists
	} else if err != nil {
		return plain(err)
	}
	return plain(syncPath(filepath.Dir(path)))
}

// spool writes the bytes to a temporary file beside the object.
func (s *fileStore) spool(uri string, r io.Reader) (path, temporary string, err error) {
	path, err = filePath(uri)
	if err != nil {
		return "", "", err
	}
	if err := s.makeDir(filepath.Dir(path)); err != nil {
		return "", "", plain(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", "", plain(err)
	}
	_, err = io.Copy(f, r)
	if err == nil {
		// CreateTemp gives 0600; who reads the results is another user.
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", "", plain(err)
	}
	return path, f.Name(), nil
}

// makeDir is os.MkdirAll that remembers in which directories entries appeared.
func (s *fileStore) makeDir(dir string) error {
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

func (s *fileStore) note(paths ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = map[string]struct{}{}
	}
	for _, path := range paths {
		s.pending[path] = struct{}{}
	}
}

// syncPending makes all that was noted durable.
func (s *fileStore) syncPending() error {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	var (
		wg     sync.WaitGroup
		places = make(chan struct{}, syncWorkers)
		failed = make(chan error, len(pending))
	)
	for path := range pending {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := syncPath(path); err != nil {
				failed <- fmt.Errorf("syncing %s: %w", filepath.Base(path), err)
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// syncPath syncs by a new descriptor: Linux tells it of a write error that no
// earlier descriptor was told of.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	// Some network file systems cannot sync a directory, and need not.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func filePath(text string) (string, error) {
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
	case hasDots(uri.Path):
		return "", errors.New("a path with . or .. as a part of it")
	}
	return uri.Path, nil
}

// plain drops the operation and the path from a file error: the URI is said
// already.
func plain(err error) error {
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
	if errors.Is(err, fs.ErrNotExist) {
		return errNotExist
	}
	return err
}

// errNotExist reads as people say it.
var errNotExist = fmt.Errorf("no such file%w", hidden{fs.ErrNotExist})

// hidden is an error that is matched but not shown.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Commit flushes everything that was Put, then gives a flushed temporary file its name
// if no file has it.
func (s *Store) Commit(_ context.Context, uri string, body *store.Body) error {
	path, err := Path(uri)
	if err != nil {
		return err
	}
	temporary, info, err := s.spool(path, body.Reader())
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	if err := s.flushPending(temporary); err != nil {
		return bare(err)
	}
	if err := s.create(temporary, path, info); errors.Is(err, fs.ErrExist) {
		return store.ErrExists
	} else if err != nil {
		return bare(err)
	}
	return bare(s.flush(filepath.Dir(path)))
}

// create gives a temporary file its name by the first way that the file system has.
func (s *Store) create(temporary, path string, info fs.FileInfo) error {
	var err error
	for _, give := range []func(string, string) error{s.system.link, s.system.renameNoReplace, s.createExclusively} {
		if err = give(temporary, path); err == nil {
			return nil
		}
		// A client of NFS repeats a request whose reply was lost; the error is then of
		// the second one. Only the file itself shows that the first one succeeded.
		if present, statErr := os.Lstat(path); statErr == nil && os.SameFile(info, present) {
			return nil
		}
		if !isUnsupported(err) {
			return err
		}
	}
	return err
}

// isUnsupported reports whether a file system does not have an operation. Linux
// returns EPERM for a link on a file system without links, EINVAL for a flag of a
// rename that it does not know, EMLINK where a file can have one name.
func isUnsupported(err error) bool {
	for _, unsupported := range []error{syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOTSUP, syscall.ENOSYS, syscall.EMLINK, syscall.EINVAL} {
		if errors.Is(err, unsupported) {
			return true
		}
	}
	return false
}

// createExclusively copies the temporary file to a new file.
func (s *Store) createExclusively(temporary, path string) error {
	data, err := os.ReadFile(temporary)
	if err != nil {
		return err
	}
	f, err := s.system.open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	_ = s.system.chmod(f, resultMode)
	if err == nil {
		err = s.ignoreUnsupported(s.system.sync(f))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		// The next try, or the next pod, must not find a part of the object.
		_ = os.Remove(path)
	}
	return err
}

func (s *Store) note(paths ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = map[string]struct{}{}
	}
	for _, path := range paths {
		s.pending[path] = struct{}{}
	}
}

// flushPending flushes everything that was noted, and the file to be committed. After an
// error, all but that file is noted again: the next commit must not succeed without it.
func (s *Store) flushPending(committed string) error {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	paths := append(slices.Collect(maps.Keys(pending)), committed)
	var (
		wg      sync.WaitGroup
		limiter = make(chan struct{}, syncWorkers)
		failed  = make(chan error, len(paths))
	)
	for _, path := range paths {
		limiter <- struct{}{}
		wg.Go(func() {
			defer func() { <-limiter }()
			if err := s.flush(path); err != nil {
				failed <- fmt.Errorf("flushing %s: %w", filepath.Base(path), err)
			}
		})
	}
	wg.Wait()
	close(failed)
	err := <-failed
	if err != nil {
		s.note(slices.Collect(maps.Keys(pending))...)
	}
	return err
}

// flush uses a new descriptor: Linux reports a write error to it that it reported to
// no earlier descriptor.
func (s *Store) flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(s.ignoreUnsupported(s.system.sync(f)), f.Close())
}

// ignoreUnsupported drops the error of a file system that cannot flush: some network
// file systems cannot flush a directory, and need not.
func (*Store) ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

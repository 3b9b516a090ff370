// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var (
	// ErrNotFound is an object that does not exist.
	ErrNotFound = errors.New("the object does not exist")
	// ErrExists is an object that exists, which is never replaced.
	ErrExists = errors.New("the object exists")
	// ErrConflict is an object whose name is a folder, or that would be in an object.
	ErrConflict = errors.New("the name belongs to a folder, or a folder of it to an object")
	// ErrDigest is a body that differs from the digest that names it.
	ErrDigest = errors.New("the body has another SHA-256 than its path")
	// ErrQuota is an object that would exceed the quota of its namespace.
	ErrQuota = errors.New("the quota of the namespace is exceeded")
	// ErrFull is a volume without space.
	ErrFull = errors.New("the volume is full")
	// ErrReadOnly is a volume that is mounted read-only.
	ErrReadOnly = errors.New("the volume is read-only")
	// ErrUnavailable is a volume that fails or was lost.
	ErrUnavailable = errors.New("the volume is unavailable")
	// ErrDamaged is a file without a trailer that matches it.
	ErrDamaged = errors.New("the file of the object is damaged")
	// ErrBody is an error of the body that was to be stored.
	ErrBody = errors.New("reading the body")
	// ErrInUse is a volume that another gateway uses.
	ErrInUse = errors.New("another gateway uses the volume")
)

// kinds are the errors of file systems, by what they mean for an object. All others
// make the volume unavailable.
var kinds = []struct {
	err    syscall.Errno
	result error
}{
	{syscall.ENOSPC, ErrFull},
	{syscall.EDQUOT, ErrFull},
	{syscall.EROFS, ErrReadOnly},
	{syscall.EEXIST, ErrExists},
	{syscall.ENOTDIR, ErrConflict},
	{syscall.EISDIR, ErrConflict},
}

// classify returns an error that matches one of the errors of this package. A missing
// object is distinguished from a lost volume: the clients retry only the latter.
func (v *Volume) classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if _, markerErr := v.root.Load().Lstat(markerName); markerErr == nil {
			return ErrNotFound
		}
		return fmt.Errorf("%w: its marker file is missing", ErrUnavailable)
	}
	for _, known := range []error{ErrNotFound, ErrExists, ErrConflict, ErrDigest, ErrQuota, ErrFull, ErrReadOnly, ErrUnavailable, ErrDamaged, ErrBody} {
		if errors.Is(err, known) {
			return err
		}
	}
	for _, kind := range kinds {
		if errors.Is(err, kind.err) {
			return fmt.Errorf("%w: %w", kind.result, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

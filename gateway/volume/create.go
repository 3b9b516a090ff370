// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

// bufferSize is small, since every transfer has a buffer.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Create stores an object of a size, or returns ErrExists. When it returns without an
// error, the object is durable. After an error, nothing of the object remains.
func (v *Volume) Create(l objectpath.Location, size int64, body io.Reader) (Info, error) {
	defer v.use(useKey(l))()
	bytes := charge(size + int64(RecordSize))
	if err := v.reserve(l.Namespace, bytes); err != nil {
		return Info{}, err
	}
	info, err := v.create(l, size, body)
	if err != nil {
		v.free(l.Namespace, bytes)
		return Info{}, v.failed(err)
	}
	v.touch(l)
	return info, nil
}

func (v *Volume) create(l objectpath.Location, size int64, body io.Reader) (Info, error) {
	root, err := v.ready()
	if err != nil {
		return Info{}, err
	}
	temporary := temporaryDir + "/" + rand.Text()
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = root.Remove(temporary) }()
	info, err := write(file, l, size, body)
	if err = errors.Join(err, file.Close()); err != nil {
		return Info{}, err
	}
	name := fileName(l)
	if err := v.makeFolders(root, path.Dir(name)); err != nil {
		return Info{}, err
	}
	if err := v.give(root, temporary, name); err != nil {
		return Info{}, err
	}
	if err := syncFolder(root, path.Dir(name)); err != nil {
		_ = root.Remove(name)
		return Info{}, err
	}
	return info, nil
}

// write writes and flushes a file.
func write(file *os.File, l objectpath.Location, size int64, body io.Reader) (Info, error) {
	info, err := Receive(file, l, size, body)
	if err != nil {
		return Info{}, err
	}
	trailer, err := info.Record()
	if err != nil {
		return Info{}, err
	}
	if _, err := file.Write(trailer); err != nil {
		return Info{}, err
	}
	return info, file.Sync()
}

// Receive writes the body of an object to a file. It returns ErrBody if the body cannot be
// read or is too short, and ErrDigest if it is not what its location names.
func Receive(file io.Writer, l objectpath.Location, size int64, body io.Reader) (Info, error) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	sum := sha256.New()
	n, err := io.CopyBuffer(&hashedFile{file, sum}, struct{ io.Reader }{&bodyReader{io.LimitReader(body, size)}}, buffer[:])
	if err == nil && n < size {
		err = fmt.Errorf("%w: %w", ErrBody, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return Info{}, err
	}
	info := Info{Size: size, Digest: hex.EncodeToString(sum.Sum(nil))}
	if l.IsContent() && info.Digest != l.Digest {
		return Info{}, fmt.Errorf("%w: it has %s", ErrDigest, info.Digest)
	}
	return info, nil
}

// hashedFile hashes what it writes.
type hashedFile struct {
	file io.Writer
	sum  hash.Hash
}

func (f *hashedFile) Write(p []byte) (int, error) {
	_, _ = f.sum.Write(p)
	return f.file.Write(p)
}

// bodyReader marks the errors of a body, which are not those of the volume.
type bodyReader struct{ body io.Reader }

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrBody, err)
	}
	return n, err
}

// makeFolders creates the folders of an object, and flushes the folder above each new
// one. A folder that exists is flushed, or a creation that is still running is joined.
func (v *Volume) makeFolders(root *os.Root, dir string) error {
	for i := range len(dir) + 1 {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		folder := dir[:i]
		_, err, _ := v.folders.Do(folder, func() (any, error) {
			err := root.Mkdir(folder, folderMode)
			if errors.Is(err, fs.ErrExist) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			if err = syncFolder(root, path.Dir(folder)); err != nil {
				_ = root.Remove(folder)
			}
			return nil, err
		})
		if err != nil {
			return err
		}
	}
	// A name of the path may be that of an object.
	info, err := root.Stat(dir)
	if err == nil && !info.IsDir() {
		return ErrConflict
	}
	return err
}

// give gives a temporary file its name, unless it exists.
func (v *Volume) give(root *os.Root, temporary, name string) error {
	err := root.Link(temporary, name)
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := root.Stat(name); statErr == nil && info.IsDir() {
			return ErrConflict
		}
		return ErrExists
	}
	if !isUnsupported(err) {
		return err
	}
	// A file system without hard links. One process writes the volume, so that a lock
	// of this process keeps two writers apart.
	v.mu.Lock()
	defer v.mu.Unlock()
	if info, err := root.Lstat(name); err == nil && info.IsDir() {
		return ErrConflict
	} else if err == nil {
		return ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(temporary, name)
}

// isUnsupported reports whether a file system has no hard links.
func isUnsupported(err error) bool {
	for _, unsupported := range []error{syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOTSUP, syscall.ENOSYS, syscall.EMLINK} {
		if errors.Is(err, unsupported) {
			return true
		}
	}
	return false
}

// Group is the results of a TaskGroup.
type Group struct{ Namespace, UID string }

// Content is an object that is named by its digest.
type Content struct{ Namespace, Digest string }

// location returns the location of the object.
func (c Content) location() objectpath.Location {
	return objectpath.Location{Namespace: c.Namespace, Digest: c.Digest}
}

// contentOf returns the object that has a use key.
func contentOf(key string) Content {
	parts := strings.Split(key, "/")
	return Content{Namespace: parts[1], Digest: parts[len(parts)-1]}
}

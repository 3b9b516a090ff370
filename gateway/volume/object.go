// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

// The record of an object, which is the trailer of its file: magic, size, SHA-256.
const (
	magic      = "TGobj\x00\x00\x01"
	sizeOffset = len(magic)
	sumOffset  = sizeOffset + 8
	// RecordSize is the number of bytes of a record.
	RecordSize = sumOffset + sha256.Size
)

// Info describes an object.
type Info struct {
	// Size is in bytes.
	Size int64
	// Digest is the SHA-256 in lower-case hexadecimal.
	Digest string
}

// Record returns the size and the digest, as they are stored with the bytes of an object.
func (i Info) Record() ([]byte, error) {
	sum, err := hex.DecodeString(i.Digest)
	raw := binary.BigEndian.AppendUint64([]byte(magic), uint64(i.Size))
	return append(raw, sum...), err
}

// ParseRecord reads the record of an object that has a number of bytes with its record.
func ParseRecord(raw []byte, stored int64) (Info, error) {
	if len(raw) != RecordSize || !bytes.HasPrefix(raw, []byte(magic)) {
		return Info{}, fmt.Errorf("%w: it has no record of its size and digest", ErrDamaged)
	}
	size := binary.BigEndian.Uint64(raw[sizeOffset:sumOffset])
	if size != uint64(stored-int64(RecordSize)) {
		return Info{}, fmt.Errorf("%w: it has %d bytes of %d", ErrDamaged, stored-int64(RecordSize), size)
	}
	return Info{Size: int64(size), Digest: hex.EncodeToString(raw[sumOffset:])}, nil
}

// Object is an object that is being read. It is not deleted before it is closed.
type Object struct {
	io.ReadSeeker
	Info Info

	close func() error
}

// NewObject returns an object that is read from another place than a Volume.
func NewObject(content io.ReadSeeker, info Info, closeContent func() error) *Object {
	return &Object{ReadSeeker: content, Info: info, close: closeContent}
}

// Close implements io.Closer.
func (o *Object) Close() error { return o.close() }

// Open opens an object.
func (v *Volume) Open(l objectpath.Location) (*Object, error) {
	release := v.use(useKey(l))
	object, err := v.open(l, release)
	if err != nil {
		release()
		return nil, v.failed(err)
	}
	v.touch(l)
	return object, nil
}

func (v *Volume) open(l objectpath.Location, release func()) (*Object, error) {
	root, err := v.ready()
	if err != nil {
		return nil, err
	}
	file, err := root.Open(fileName(l))
	if err != nil {
		return nil, err
	}
	info, err := readInfo(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return NewObject(io.NewSectionReader(file, 0, info.Size), info, func() error {
		defer release()
		return file.Close()
	}), nil
}

func readInfo(file *os.File) (Info, error) {
	stat, err := file.Stat()
	if err != nil {
		return Info{}, err
	}
	if stat.IsDir() {
		return Info{}, ErrNotFound
	}
	raw := make([]byte, RecordSize)
	if _, err := file.ReadAt(raw, stat.Size()-int64(RecordSize)); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return ParseRecord(raw, stat.Size())
}

// fileName returns the path of an object's file in the volume.
func fileName(l objectpath.Location) string {
	return namespaceDir + "/" + l.Namespace + "/" + l.Path()
}

// useKey is what is deleted as a whole: the object, or the results of its group.
func useKey(l objectpath.Location) string {
	if l.IsContent() {
		return fileName(l)
	}
	return groupDir(l.Namespace, l.UID)
}

func groupDir(namespace, uid string) string {
	return namespaceDir + "/" + namespace + "/" + contract.GatewayGroups + "/" + uid
}

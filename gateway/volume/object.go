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

// The trailer of a file: magic, size, SHA-256.
const (
	magic       = "TGobj\x00\x00\x01"
	sizeOffset  = len(magic)
	sumOffset   = sizeOffset + 8
	trailerSize = sumOffset + sha256.Size
)

// Info describes an object.
type Info struct {
	// Size is in bytes.
	Size int64
	// Digest is the SHA-256 in lower-case hexadecimal.
	Digest string
}

// trailer returns the end of an object's file.
func (i Info) trailer() ([]byte, error) {
	sum, err := hex.DecodeString(i.Digest)
	raw := binary.BigEndian.AppendUint64([]byte(magic), uint64(i.Size))
	return append(raw, sum...), err
}

// parseTrailer reads the end of a file of a size.
func parseTrailer(raw []byte, fileSize int64) (Info, error) {
	if len(raw) != trailerSize || !bytes.HasPrefix(raw, []byte(magic)) {
		return Info{}, fmt.Errorf("%w: it has no trailer", ErrDamaged)
	}
	size := binary.BigEndian.Uint64(raw[sizeOffset:sumOffset])
	if size != uint64(fileSize-int64(trailerSize)) {
		return Info{}, fmt.Errorf("%w: it has %d bytes of %d", ErrDamaged, fileSize-int64(trailerSize), size)
	}
	return Info{Size: int64(size), Digest: hex.EncodeToString(raw[sumOffset:])}, nil
}

// Object is an object that is being read. It is not deleted before it is closed.
type Object struct {
	*io.SectionReader
	Info Info

	file    *os.File
	release func()
}

// Close implements io.Closer.
func (o *Object) Close() error {
	defer o.release()
	return o.file.Close()
}

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
	return &Object{SectionReader: io.NewSectionReader(file, 0, info.Size), Info: info, file: file, release: release}, nil
}

func readInfo(file *os.File) (Info, error) {
	stat, err := file.Stat()
	if err != nil {
		return Info{}, err
	}
	if stat.IsDir() {
		return Info{}, ErrNotFound
	}
	raw := make([]byte, trailerSize)
	if _, err := file.ReadAt(raw, stat.Size()-int64(trailerSize)); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return parseTrailer(raw, stat.Size())
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

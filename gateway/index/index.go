// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

const (
	// maxCached indexes are kept, since a pod reads one object after another of its own.
	maxCached = 16
	// maxNames bounds the memory of an index that is kept.
	maxNames = 1 << 18
	keptFor  = 10 * time.Minute
	buffer   = 32 << 10
	// maxURI is longer than every path of the gateway.
	maxURI = 2048
)

var errTooLarge = errors.New("the index names too many objects")

// Open opens an object; errors that match volume.ErrNotFound mean that there is none.
type Open func(objectpath.Location) (io.ReadCloser, error)

// Reader reads indexes, which are named by their content and never change.
type Reader struct {
	open Open

	mu    sync.Mutex
	cache *cache.LRUExpireCache
}

// New returns a Reader.
func New(open Open) *Reader {
	return &Reader{open: open, cache: cache.NewLRUExpireCache(maxCached)}
}

// name is the beginning of the SHA-256 of a URI.
type name [16]byte

func nameOf(uri string) name {
	sum := sha256.Sum256([]byte(uri))
	return name(sum[:len(name{})])
}

// Names reports whether the index at a URI names an object. An index that does not exist
// names none.
func (r *Reader) Names(index, uri string) (bool, error) {
	// One reader at a time: requests of one pod share an index, and memory is bounded.
	r.mu.Lock()
	defer r.mu.Unlock()
	names, ok := r.cache.Get(index)
	if !ok {
		read := map[name]struct{}{}
		err := r.Each(index, func(uri string) error {
			if len(read) == maxNames {
				return errTooLarge
			}
			read[nameOf(uri)] = struct{}{}
			return nil
		})
		if errors.Is(err, errTooLarge) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if len(read) == 0 {
			return false, nil
		}
		r.cache.Add(index, read, keptFor)
		names = read
	}
	_, ok = names.(map[name]struct{})[nameOf(uri)]
	return ok, nil
}

// Each calls visit with each text of the index at a URI that is a URI of the gateway, until
// visit returns an error. An index that is missing or damaged names nothing: a pod refuses
// it. The memory does not depend on the index.
func (r *Reader) Each(index string, visit func(uri string) error) error {
	location, ok := parse(index)
	if !ok {
		return nil
	}
	object, err := r.open(location)
	if errors.Is(err, volume.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the index %s: %w", index, err)
	}
	defer func() { _ = object.Close() }()
	if err := eachURI(object, visit); err != nil {
		return fmt.Errorf("reading the index %s: %w", index, err)
	}
	return nil
}

// eachURI calls visit with the texts of a JSON document that are URIs of the gateway.
func eachURI(document io.Reader, visit func(uri string) error) error {
	decoder := json.NewDecoder(bufio.NewReaderSize(io.LimitReader(document, contract.MaxIndex), buffer))
	for {
		token, err := decoder.Token()
		_, isDamaged := errors.AsType[*json.SyntaxError](err)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isDamaged:
			return nil
		case err != nil:
			return err
		}
		if uri, ok := token.(string); ok && len(uri) <= maxURI && strings.HasPrefix(uri, contract.GatewayScheme+"://") {
			if err := visit(uri); err != nil {
				return err
			}
		}
	}
}

// parse returns where an index is. Only content never changes.
func parse(index string) (objectpath.Location, bool) {
	path, err := contract.GatewayPath(index)
	if err != nil {
		return objectpath.Location{}, false
	}
	location, err := objectpath.Parse(path)
	return location, err == nil && location.IsContent()
}

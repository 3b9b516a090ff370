// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// maxPrefetched is the size of an object that is kept in memory, and maxKept the number
	// of them: 16 MiB at most.
	maxPrefetched = 16 << 10
	maxKept       = 1024
	// keptFor is how long an object that was not requested is kept.
	keptFor = 30 * time.Second
	// maxPrefetches bounds the transfers at a time. Further results are not prefetched:
	// many groups that finish at once are limited by their number, and not by the round trip.
	maxPrefetches = 16
	// maxTasks is of how many tasks of a group the outputs are prefetched.
	maxTasks = 8
)

var errTooLarge = errors.New("too large to be kept in memory")

// prefetcher keeps small objects of finished groups between the moment at which their end is
// known and the request for them, which Covalent's server sends tens of milliseconds later.
// Objects of results never change.
type prefetcher struct {
	kept  *cache.LRUExpireCache
	turns chan struct{}
}

func newPrefetcher() *prefetcher {
	return &prefetcher{kept: cache.NewLRUExpireCache(maxKept), turns: make(chan struct{}, maxPrefetches)}
}

// fetched is an object that was fetched, or is being fetched until done is closed.
type fetched struct {
	done    chan struct{}
	content []byte
	version string
	err     error
}

// Prefetch fetches a manifest in the background, and the outputs that it names below a
// location, if they are small and few. The next request for each is served from memory.
func (g *Gateway) Prefetch(location, manifestURI string) {
	select {
	case g.prefetcher.turns <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-g.prefetcher.turns }()
		ctx, cancel := context.WithTimeout(context.Background(), keptFor)
		defer cancel()
		backend := g.store()
		raw, err := g.prefetcher.fetch(ctx, backend, manifestURI)
		if err != nil {
			return
		}
		manifest, err := contract.DecodeManifest(raw)
		if err != nil || len(manifest.Tasks) > maxTasks {
			return
		}
		for i := range manifest.Tasks {
			output, ok := manifest.Tasks[i].Assets[contract.AssetOutput]
			if ok && output.Size <= maxPrefetched && store.Below(location, output.URI) == nil {
				_, _ = g.prefetcher.fetch(ctx, backend, output.URI)
			}
		}
	}()
}

// fetch fetches an object and keeps it.
func (p *prefetcher) fetch(ctx context.Context, from store.Backend, uri string) ([]byte, error) {
	object := &fetched{done: make(chan struct{})}
	p.kept.Add(uri, object, keptFor)
	defer close(object.done)
	object.content, object.version, object.err = read(ctx, from, uri)
	if object.err != nil {
		p.kept.Remove(uri)
	}
	return object.content, object.err
}

func read(ctx context.Context, from store.Backend, uri string) ([]byte, string, error) {
	source, err := from.Open(ctx, uri, store.Position{})
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = source.Close() }()
	if source.Size > maxPrefetched {
		return nil, "", errTooLarge
	}
	content, err := io.ReadAll(io.LimitReader(source, maxPrefetched+1))
	if err == nil && (len(content) > maxPrefetched || source.Size >= 0 && int64(len(content)) != source.Size) {
		err = errTooLarge
	}
	return content, source.Version, err
}

// take returns an object that was fetched, and forgets it; nil if there is none.
func (p *prefetcher) take(ctx context.Context, uri string) *store.Object {
	found, ok := p.kept.Get(uri)
	if !ok {
		return nil
	}
	object := found.(*fetched)
	select {
	case <-object.done:
	case <-ctx.Done():
		return nil
	}
	p.kept.Remove(uri)
	if object.err != nil {
		return nil
	}
	return &store.Object{
		ReadCloser: io.NopCloser(bytes.NewReader(object.content)), Size: int64(len(object.content)), Version: object.version,
	}
}

// prefetching is the store of the gateway, with the objects that were prefetched.
type prefetching struct {
	store.Backend
	prefetcher *prefetcher
}

// Open implements store.Backend.
func (b *prefetching) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	if from == (store.Position{}) {
		if object := b.prefetcher.take(ctx, uri); object != nil {
			return object, nil
		}
	}
	return b.Backend.Open(ctx, uri, from)
}

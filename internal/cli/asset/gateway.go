// SPDX-License-Identifier: Apache-2.0

package asset

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Gateway is the store of the cluster's asset gateway. It connects when it is first used,
// and to no cluster if no URI is of the gateway.
type Gateway struct {
	// Connect returns the gateway for the objects of a namespace.
	Connect func(namespace string) (*gateway.Gateway, error)

	mu       sync.Mutex
	backends map[string]store.Backend
}

// Open implements store.Backend.
func (g *Gateway) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	backend, err := g.of(uri)
	if err != nil {
		return nil, err
	}
	return backend.Open(ctx, uri, from)
}

// Put implements store.Backend.
func (g *Gateway) Put(ctx context.Context, uri string, body *store.Body) error {
	backend, err := g.of(uri)
	if err != nil {
		return err
	}
	return backend.Put(ctx, uri, body)
}

// Commit implements store.Backend.
func (g *Gateway) Commit(ctx context.Context, uri string, body *store.Body) error {
	backend, err := g.of(uri)
	if err != nil {
		return err
	}
	return backend.Commit(ctx, uri, body)
}

func (g *Gateway) of(uri string) (store.Backend, error) {
	rest := strings.TrimPrefix(uri, contract.GatewayScheme+"://")
	namespace, _, _ := strings.Cut(rest, "/")
	g.mu.Lock()
	defer g.mu.Unlock()
	if backend := g.backends[namespace]; backend != nil {
		return backend, nil
	}
	connected, err := g.Connect(namespace)
	if err != nil {
		return nil, fmt.Errorf("connecting to the asset gateway: %w", err)
	}
	if g.backends == nil {
		g.backends = map[string]store.Backend{}
	}
	g.backends[namespace] = connected.Backend()
	return g.backends[namespace], nil
}

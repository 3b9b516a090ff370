// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// freezer stops the watch events of resources on their way to the operators. The
// connections stay open, so that no client notices.
type freezer struct {
	mu     sync.Mutex
	frozen map[string]chan struct{}
}

// Freeze stops the watch events of a resource, such as "pods", until thaw is called.
// Other requests for the resource are answered.
func (p *Proxy) Freeze(resource string) (thaw func()) {
	p.freezer.mu.Lock()
	defer p.freezer.mu.Unlock()
	until := make(chan struct{})
	if p.freezer.frozen == nil {
		p.freezer.frozen = map[string]chan struct{}{}
	}
	p.freezer.frozen[resource] = until
	return sync.OnceFunc(func() {
		p.freezer.mu.Lock()
		defer p.freezer.mu.Unlock()
		delete(p.freezer.frozen, resource)
		close(until)
	})
}

// wrap lets the events of a watch pass unless its resource is frozen.
func (f *freezer) wrap(answer *http.Response) {
	query := answer.Request.URL.Query()
	if query.Get("watch") != "true" && query.Get("watch") != "1" {
		return
	}
	parts := strings.Split(strings.TrimSuffix(answer.Request.URL.Path, "/"), "/")
	answer.Body = &frozenBody{ReadCloser: answer.Body, freezer: f, resource: parts[len(parts)-1], done: answer.Request.Context().Done()}
}

// frozenBody is the body of a watch.
type frozenBody struct {
	io.ReadCloser
	freezer  *freezer
	resource string
	done     <-chan struct{}
}

// Read implements io.Reader. It holds back what it has read while the resource is
// frozen.
func (b *frozenBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	b.freezer.mu.Lock()
	until := b.freezer.frozen[b.resource]
	b.freezer.mu.Unlock()
	if until != nil {
		select {
		case <-until:
		case <-b.done:
		}
	}
	return n, err
}

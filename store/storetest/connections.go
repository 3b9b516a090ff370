// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

// startDelay is longer than the first try takes.
const startDelay = 300 * time.Millisecond

// hosts counts the names of servers.
var hosts atomic.Int64

// testConnections has the faults before a connection is established. A server of its own
// and its environment belong to each, so that they are not parallel.
func (target Target) testConnections(t *testing.T) {
	named := func(t *testing.T, failures int) *faulty.Store {
		server := target.front(t, faulty.New(t))
		name := fmt.Sprintf("host-%d.test", hosts.Add(1))
		addHost(name, failures)
		server.URL = strings.Replace(server.URL, "127.0.0.1", name, 1)
		return server
	}
	tests := []struct {
		test
		start func(t *testing.T) *faulty.Store
	}{
		{test{name: "the server starts late"}, func(t *testing.T) *faulty.Store { return target.front(t, faulty.NewLate(t, startDelay)) }},
		{test{name: "a name that is known late"}, func(t *testing.T) *faulty.Store { return named(t, 4) }},
		{test{name: "a name that is never known", want: "no such host"}, func(t *testing.T) *faulty.Store { return named(t, 1<<30) }},
		{test{name: "refused forever", want: "connection refused"}, func(t *testing.T) *faulty.Store { return target.front(t, faulty.NewLate(t, time.Hour)) }},
		{test{name: "an untrusted certificate", want: "certificate signed by unknown authority", permanent: true}, func(t *testing.T) *faulty.Store { return target.front(t, faulty.NewTLS(t)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := test.start(t)
			var names []string
			for _, verb := range operations {
				names = append(names, nameOf(verb, test.name))
			}
			backends := target.Connect(t, server.URL, store.Parts{}, names)
			var all []*operation
			for _, verb := range operations {
				all = append(all, target.operation(server, backends, verb, test.name))
			}
			runAll(t, test.test, all)
		})
	}
}

// testCancel cancels an operation whose request is being handled.
func (target Target) testCancel(t *testing.T) {
	server := target.front(t, faulty.New(t))
	name := nameOf("Put", "cancel")
	s := store.New(target.Connect(t, server.URL, store.Parts{}, []string{name}))
	ctx, cancel := context.WithCancel(t.Context())
	server.Fail("PUT", target.path(name), func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	uri := target.URI(server.URL, name)
	_, err := s.Put(ctx, uri, strings.NewReader("data"))
	if err == nil || err.Error() != uri+": context canceled" || !errors.Is(err, context.Canceled) || store.IsTransient(err) || store.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
	if len(server.Requests()) != 1 {
		t.Errorf("requests %q", server.Requests())
	}
}

// testPools has as many downloads as there are connections, which end after the upload.
func (target Target) testPools(t *testing.T) {
	const downloads = 8
	server := target.front(t, faulty.New(t))
	names := []string{nameOf("Put", "pools")}
	for i := range downloads {
		names = append(names, nameOf("Get", "pools", string(rune('a'+i))))
	}
	backends := target.Connect(t, server.URL, store.Parts{}, names)
	started, release := make(chan struct{}, downloads), make(chan struct{})
	hold := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		started <- struct{}{}
		<-release
		next.ServeHTTP(w, r)
	}
	var wg sync.WaitGroup
	for _, name := range names[1:] {
		o := target.operation(server, backends, "Get", strings.TrimPrefix(name, "Get-"))
		server.Fail("GET", o.path, hold)
		wg.Go(func() {
			if err := o.do(t, retryTimeout); err != nil {
				t.Errorf("download: %v", err)
			}
		})
	}
	for range downloads {
		<-started
	}
	if err := target.operation(server, backends, "Put", "pools").do(t, shortTimeout); err != nil {
		t.Errorf("upload: %v", err)
	}
	close(release)
	wg.Wait()
	if gets := slices.DeleteFunc(server.Requests(), func(line string) bool { return !strings.HasPrefix(line, "GET") }); len(gets) != downloads {
		t.Errorf("downloads were retried: %q", gets)
	}
}

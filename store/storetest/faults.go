// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

const (
	// stall is short, and far longer than an object takes on the loopback interface.
	stall = 300 * time.Millisecond
	// late is longer than a stall.
	late = 3 * stall
	// retryTimeout is never reached by an operation that succeeds.
	retryTimeout = 30 * time.Second
	// shortTimeout is for those that never do.
	shortTimeout = time.Second
)

// Target is a kind of store.
type Target struct {
	// URI returns the URI of an object of the server at endpoint. Its path there is
	// /bucket/<name>.
	URI func(endpoint, name string) string
	// Path returns the path of the object, if it is another one.
	Path func(name string) string
	// Server, if set, starts the server that has the objects.
	Server func(t *testing.T) faulty.Server
	// Connect returns the Backends that read and write the objects of these names at
	// a server. It may set the environment of the test.
	Connect func(t *testing.T, endpoint string, parts store.Parts, names []string) map[string]store.Backend
	// Multipart are the requests of an upload in parts, if the store has it.
	Multipart []string
}

// operations are what is tried with each fault.
var operations = []string{"Get", "Put", "Put nothing", "Commit"}

// content is larger than the buffers of connections.
var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<15)

// test is a fault and what an operation on it results in.
type test struct {
	name   string
	faults []faulty.Fault
	// only are the operations that can have the fault; all if nil.
	only []string
	// want is in the error; empty if the operation succeeds.
	want string
	// permanent is set for an error that is not retried.
	permanent bool
}

func forever(fault faulty.Fault) []faulty.Fault { return slices.Repeat([]faulty.Fault{fault}, 100) }

func repeat(fault faulty.Fault) []faulty.Fault { return []faulty.Fault{fault, fault} }

var get, writes = []string{"Get"}, []string{"Put", "Put nothing", "Commit"}

// responses are the faults of a server that accepts connections.
var responses = []test{
	{name: "none"},
	{name: "500", faults: repeat(faulty.Status(500))},
	{name: "502", faults: repeat(faulty.Status(502))},
	{name: "503", faults: repeat(faulty.Status(503))},
	{name: "408", faults: repeat(faulty.Status(408))},
	{name: "429 with Retry-After", faults: repeat(faulty.Status(429, "Retry-After", "0"))},
	{name: "reset", faults: repeat(faulty.Reset)},
	{name: "a lost response", faults: []faulty.Fault{faulty.LoseAnswer}, only: writes},
	{name: "a slow first byte", faults: forever(faulty.Delay(late))},
	{name: "truncated", faults: []faulty.Fault{faulty.Truncate(1 << 17), faulty.Truncate(1 << 17)}, only: get},
	{name: "stalled", faults: []faulty.Fault{faulty.Stall(1 << 17)}, only: get},
	{name: "503 forever", faults: forever(faulty.Status(503)), want: "503 Service Unavailable"},
	{name: "429 with a long Retry-After", faults: forever(faulty.Status(429, "Retry-After", "60")), want: "429 Too Many Requests"},
	{name: "reset forever", faults: forever(faulty.Reset), want: "connection reset by peer|broken pipe|closed network connection|EOF"},
	{name: "truncated forever", faults: forever(faulty.Truncate(0)), only: get, want: "unexpected EOF"},
	{name: "a length too long forever", faults: forever(faulty.Length(1)), only: get, want: "unexpected EOF"},
	{name: "stalled forever", faults: forever(faulty.Stall(0)), only: get, want: "the transfer stalled: 0 bytes in 300ms"},
	{name: "an upload that stalls forever", faults: forever(faulty.StopReading(1 << 10)), only: []string{"Put large"}, want: "the transfer stalled: "},
	{name: "400", faults: forever(faulty.Status(400)), want: "400 Bad Request", permanent: true},
	{name: "401", faults: forever(faulty.Status(401)), want: "401 Unauthorized", permanent: true},
	{name: "403", faults: forever(faulty.Status(403)), want: "403 Forbidden", permanent: true},
	{name: "404", faults: forever(faulty.Status(404)), want: "404 Not Found", permanent: true},
	{name: "405", faults: forever(faulty.Status(405)), want: "405 Method Not Allowed", permanent: true},
	{name: "501", faults: forever(faulty.Status(501)), want: "501 Not Implemented", permanent: true},
}

// Run checks a kind of store.
func Run(t *testing.T, target Target) {
	t.Run("responses", target.testResponses)
	t.Run("multipart", target.testMultipart)
	t.Run("connections", target.testConnections)
	t.Run("cancel", target.testCancel)
	t.Run("uploads beside downloads", target.testPools)
	t.Run("remove", target.testRemove)
}

func (target Target) testResponses(t *testing.T) {
	server := target.front(t, faulty.New(t))
	all := slices.Concat(operations, []string{"Put large"})
	var names []string
	for _, test := range responses {
		for _, operation := range all {
			names = append(names, nameOf(operation, test.name))
		}
	}
	backends := target.Connect(t, server.URL, store.Parts{}, names)
	for _, test := range responses {
		only := test.only
		if only == nil {
			only = operations
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var all []*operation
			for _, verb := range only {
				o := target.operation(server, backends, verb, test.name)
				server.Fail(o.method, o.path, test.faults...)
				all = append(all, o)
			}
			runAll(t, test, all)
		})
	}
}

// testMultipart gives each request of an upload a fault.
func (target Target) testMultipart(t *testing.T) {
	if target.Multipart == nil {
		t.Skip("the store takes an object in one request")
	}
	tests := []test{
		{name: "none"},
		{name: "503", faults: repeat(faulty.Status(503))},
		{name: "429", faults: repeat(faulty.Status(429, "Retry-After", "0"))},
		{name: "reset", faults: repeat(faulty.Reset)},
		{name: "a lost response", faults: []faulty.Fault{faulty.LoseAnswer}},
		{name: "a slow first byte", faults: forever(faulty.Delay(late))},
		{name: "503 forever", faults: forever(faulty.Status(503)), want: "503 Service Unavailable"},
		{name: "reset forever", faults: forever(faulty.Reset), want: "connection reset by peer|broken pipe|closed network connection|EOF"},
		{name: "403", faults: forever(faulty.Status(403)), want: "403 Forbidden", permanent: true},
	}
	server := target.front(t, faulty.New(t))
	var names []string
	for _, test := range tests {
		for _, request := range target.Multipart {
			names = append(names, nameOf(request, test.name))
		}
	}
	size := int64(len(content) / 4)
	backends := target.Connect(t, server.URL, store.Parts{Above: size, Least: size, Most: 100}, names)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var all []*operation
			for _, request := range target.Multipart {
				o := target.operation(server, backends, request, test.name)
				server.Fail(request, o.path, test.faults...)
				all = append(all, o)
			}
			runAll(t, test, all)
		})
	}
}

// runAll runs operations at the same time: they wait more than they work.
func runAll(t *testing.T, test test, all []*operation) {
	t.Helper()
	var wg sync.WaitGroup
	for _, o := range all {
		wg.Go(func() { o.run(t, test) })
	}
	wg.Wait()
}

// nameOf joins parts to a key.
func nameOf(parts ...string) string { return strings.ReplaceAll(strings.Join(parts, "-"), " ", "-") }

// operation is one read or write of an object.
type operation struct {
	server       *faulty.Store
	backends     map[string]store.Backend
	verb         string
	method, path string
	uri          string
	data         []byte
}

func (target Target) operation(server *faulty.Store, backends map[string]store.Backend, verb, name string) *operation {
	o := &operation{server: server, backends: backends, verb: verb, method: "PUT", data: content}
	o.uri, o.path = target.URI(server.URL, nameOf(verb, name)), target.path(nameOf(verb, name))
	switch verb {
	case "Get":
		o.method = "GET"
		server.Set(o.path, content)
	case "Put nothing":
		o.data = []byte{}
	case "Put large":
		o.data = bytes.Repeat(content, 64)
	}
	return o
}

// front returns a store that reads the objects of the target's server.
func (target Target) front(t *testing.T, s *faulty.Store) *faulty.Store {
	t.Helper()
	if target.Server != nil {
		s.Front(target.Server(t))
	}
	return s
}

// path returns the path of an object at the server.
func (target Target) path(name string) string {
	if target.Path != nil {
		return target.Path(name)
	}
	return "/bucket/" + name
}

// do tries the operation with a retry timeout.
func (o *operation) do(t *testing.T, timeout time.Duration) error {
	t.Helper()
	// No try of a test takes as long as the transport would wait.
	ctx, cancel := context.WithTimeout(t.Context(), timeout+retryTimeout)
	defer cancel()
	s := store.New(o.backends)
	s.RetryTimeout, s.Stall = timeout, stall
	switch o.verb {
	case "Get":
		path, err := s.Fetch(ctx, o.uri, filepath.Join(t.TempDir(), "object"))
		if err != nil {
			return err
		}
		if raw, err := os.ReadFile(path); err != nil || !bytes.Equal(raw, o.data) {
			t.Errorf("fetched %d bytes, %v", len(raw), err)
		}
		return nil
	case "Commit":
		_, err := s.Commit(ctx, o.uri, bytes.NewReader(o.data))
		return err
	}
	_, err := s.Put(ctx, o.uri, bytes.NewReader(o.data))
	return err
}

// run tries the operation and checks its result.
func (o *operation) run(t *testing.T, test test) {
	t.Helper()
	if test.want == "" {
		if err := o.do(t, retryTimeout); err != nil {
			t.Errorf("%s: error %v", o.verb, err)
		}
		if got := o.server.Get(o.path); got == nil || !bytes.Equal(got, o.data) {
			t.Errorf("%s: the store has %d bytes, want %d", o.verb, len(got), len(o.data))
		}
		return
	}
	timeout := shortTimeout
	if test.permanent {
		timeout = retryTimeout
	}
	err := o.do(t, timeout)
	if err == nil || !slices.ContainsFunc(strings.Split(test.want, "|"), func(want string) bool { return strings.Contains(err.Error(), want) }) {
		t.Errorf("%s: error %v, want %s", o.verb, err, test.want)
		return
	}
	if strings.Contains(err.Error(), "gave up after") == test.permanent || store.IsTransient(err) == test.permanent || store.IsPermanent(err) != test.permanent {
		t.Errorf("%s: transient %t, permanent %t, error %v", o.verb, store.IsTransient(err), store.IsPermanent(err), err)
	}
}

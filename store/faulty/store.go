// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// Store keeps objects in memory, by the path of their URL.
type Store struct {
	// URL is where it listens, without a slash at its end.
	URL string
	// client trusts the certificate of NewTLS.
	client *http.Client

	mu sync.Mutex
	// unconditional: see IgnoreIfNoneMatch.
	unconditional bool
	// immutable: see RefuseToReplace.
	immutable bool
	objects   map[string]object
	faults    map[string][]Fault
	requests  []string
	// folders are nil unless RequireFolders was called.
	folders map[string]bool
	// parts and uploads are the state of multipart uploads: parts by upload or path, and
	// number; the header of its creation by upload.
	parts   map[string][]byte
	uploads map[string]http.Header
	// server is nil unless Front was called.
	server *Server
}

// Server is another server whose requests are to have faults.
type Server struct {
	http.Handler

	Set func(path string, data []byte)
	Get func(path string) []byte
}

type object struct {
	data []byte
	// metadata are the headers that S3 returns with the object.
	metadata http.Header
}

// New starts a store on the loopback interface, for as long as a test runs.
func New(t testing.TB) *Store {
	t.Helper()
	return start(t, (*httptest.Server).Start)
}

// NewTLS starts a store whose certificate no client trusts.
func NewTLS(t testing.TB) *Store {
	t.Helper()
	return start(t, (*httptest.Server).StartTLS)
}

// Client returns a client that trusts the certificate of NewTLS.
func (s *Store) Client() *http.Client { return s.client }

// NewLateTLS is NewTLS for a store that does not accept connections for a while.
func NewLateTLS(t testing.TB, delay time.Duration) *Store {
	t.Helper()
	s, address := NewTLS(t), reserve(t)
	target := strings.TrimPrefix(s.URL, "https://")
	s.URL = "https://" + address
	listenLater(t, address, delay, func(listener net.Listener) {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := (&net.Dialer{}).Dial("tcp", target)
			if err != nil {
				from.Close()
				return
			}
			go func() { _, _ = io.Copy(to, from); to.Close() }()
			go func() { _, _ = io.Copy(from, to); from.Close() }()
		}
	})
	return s
}

// NewLate returns a store that does not accept connections for a while.
func NewLate(t testing.TB, delay time.Duration) *Store {
	t.Helper()
	s, address := newStore(), reserve(t)
	s.URL = "http://" + address
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	listenLater(t, address, delay, func(listener net.Listener) { _ = server.Serve(listener) })
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// reserve returns an address at which connections are refused.
func reserve(t testing.TB) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// listenLater listens after a delay, until the test ends.
func listenLater(t testing.TB, address string, delay time.Duration, serve func(net.Listener)) {
	t.Helper()
	timer := time.AfterFunc(delay, func() {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("starting the late server: %v", err)
			return
		}
		context.AfterFunc(t.Context(), func() { listener.Close() })
		serve(listener)
	})
	t.Cleanup(func() { timer.Stop() })
}

func newStore() *Store {
	return &Store{objects: map[string]object{}, faults: map[string][]Fault{}, parts: map[string][]byte{}, uploads: map[string]http.Header{}}
}

func start(t testing.TB, start func(*httptest.Server)) *Store {
	t.Helper()
	s := newStore()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	ctx, stop := context.WithCancel(context.Background())
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	start(server)
	t.Cleanup(func() {
		stop()
		server.CloseClientConnections()
		server.Close()
	})
	s.URL, s.client = server.URL, server.Client()
	return s
}

// Front makes the store a proxy in front of another server, which has the objects.
func (s *Store) Front(server Server) { s.server = &server }

// Set creates an object.
func (s *Store) Set(path string, data []byte) {
	if s.server != nil {
		s.server.Set(path, data)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[path] = object{data: data}
}

// IgnoreIfNoneMatch makes it ignore that header, as many servers do.
func (s *Store) IgnoreIfNoneMatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconditional = true
}

// RefuseToReplace makes it refuse each PUT of an object that exists, as a bucket with a
// retention policy does, and one whose writers may create only.
func (s *Store) RefuseToReplace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.immutable = true
}

// Get returns an object, nil if it does not exist.
func (s *Store) Get(path string) []byte {
	if s.server != nil {
		return s.server.Get(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[path].data
}

// Delete deletes an object.
func (s *Store) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, path)
}

// RequireFolders makes it refuse objects in folders that do not exist, as WebDAV does.
func (s *Store) RequireFolders(existing ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders = map[string]bool{"/": true}
	for _, folder := range existing {
		s.folders[folder] = true
	}
}

// Fail gives each of the next requests for a path a fault. The method is an HTTP method, or
// CREATE, PART, COMPLETE or ABORT of a multipart upload.
func (s *Store) Fail(method, path string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method+" "+path] = append(s.faults[method+" "+path], faults...)
}

// Requests returns all requests, as "METHOD target", with the range if there is one.
func (s *Store) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// ServeHTTP implements http.Handler.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	line := r.Method + " " + r.RequestURI
	if asked := cmp.Or(r.Header.Get("Range"), r.Header.Get("X-Ms-Range")); asked != "" {
		line += " " + asked
	}
	s.requests = append(s.requests, line)
	key := operation(r) + " " + r.URL.Path
	var fault Fault
	if queue := s.faults[key]; len(queue) > 0 {
		fault, s.faults[key] = queue[0], queue[1:]
	}
	s.mu.Unlock()
	if fault != nil {
		fault(w, r, http.HandlerFunc(s.serve))
		return
	}
	s.serve(w, r)
}

// operation returns the method, or the request of a multipart upload.
func operation(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case query.Has("uploads"):
		return opCreate
	case query.Has("partNumber"), query.Get("comp") == "block":
		return opPart
	case r.Method == http.MethodPost, query.Get("comp") == "blocklist":
		return opComplete
	case r.Method == http.MethodDelete:
		return opAbort
	}
	return r.Method
}

func (s *Store) serve(w http.ResponseWriter, r *http.Request) {
	if s.server != nil {
		s.server.ServeHTTP(w, r)
		return
	}
	switch operation(r) {
	case http.MethodGet, http.MethodHead:
		s.get(w, r)
	case http.MethodPut:
		s.put(w, r)
	case "MKCOL":
		s.createFolder(w, r)
	case opCreate:
		s.createUpload(w, r)
	case opPart:
		s.putPart(w, r)
	case opComplete:
		s.complete(w, r)
	case opAbort:
		s.abort(w, r)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *Store) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	found, ok := s.objects[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	maps.Copy(w.Header(), found.metadata)
	sum := sha256.Sum256(found.data)
	w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
	if azure := r.Header.Get("X-Ms-Range"); azure != "" {
		r.Header.Set("Range", azure)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(found.data))
}

func (s *Store) put(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client closed the connection
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.objects[r.URL.Path]
	absent := r.Header.Get("If-None-Match") == "*" || r.Header.Get("X-Goog-If-Generation-Match") == "0"
	switch folder := path.Dir(r.URL.Path); {
	case s.folders != nil && !s.folders[folder]:
		w.WriteHeader(http.StatusConflict)
	case taken && absent && !s.unconditional:
		w.WriteHeader(http.StatusPreconditionFailed)
	case taken && s.immutable:
		w.WriteHeader(http.StatusForbidden)
	default:
		s.objects[r.URL.Path] = object{data: data}
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *Store) createFolder(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch folder := path.Clean(r.URL.Path); {
	case s.folders == nil || s.folders[folder]:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !s.folders[path.Dir(folder)]:
		w.WriteHeader(http.StatusConflict)
	default:
		s.folders[folder] = true
		w.WriteHeader(http.StatusCreated)
	}
}

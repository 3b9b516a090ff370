package faulty

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Store keeps objects in memory, by the path of their URL.
type Store struct {
	// URL is where it listens, without a slash at its end.
	URL string

	mu sync.Mutex
	// unconditional: see IgnoreIfNoneMatch.
	unconditional bool
	objects       map[string][]byte
	faults        map[string][]Fault
	requests      []string
}

// New starts a store on the loopback interface, for as long as a test runs.
func New(t testing.TB) *Store {
	t.Helper()
	s := &Store{objects: map[string][]byte{}, faults: map[string][]Fault{}}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.URL = server.URL
	return s
}

// Set makes an object.
func (s *Store) Set(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[path] = data
}

// IgnoreIfNoneMatch makes it ignore that header, as many servers do.
func (s *Store) IgnoreIfNoneMatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconditional = true
}

// Get returns an object, nil where there is none.
func (s *Store) Get(path string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[path]
}

// Fail gives the next requests for a path a fault each.
func (s *Store) Fail(method, path string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method+" "+path] = append(s.faults[method+" "+path], faults...)
}

// Requests are all that came, as "METHOD target", with "Range" where one was asked for.
func (s *Store) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// ServeHTTP implements http.Handler.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	line := r.Method + " " + r.RequestURI
	if asked := r.Header.Get("Range"); asked != "" {
		line += " " + asked
	}
	s.requests = append(s.requests, line)
	key := r.Method + " " + r.URL.Path
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

func (s *Store) serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		data := s.Get(r.URL.Path)
		if data == nil {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(data)
		w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:8])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	case http.MethodPut:
		s.put(w, r)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *Store) put(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.objects[r.URL.Path]
	absent := r.Header.Get("If-None-Match") == "*" || r.Header.Get("X-Goog-If-Generation-Match") == "0"
	if taken && absent && !s.unconditional {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	s.objects[r.URL.Path] = data
	w.WriteHeader(http.StatusCreated)
}

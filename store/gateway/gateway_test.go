// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
)

// recorder is a gateway that records requests, and whose responses are given.
type recorder struct {
	mu       sync.Mutex
	requests []string
	respond  http.HandlerFunc
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, request.Method+" "+request.RequestURI+" "+request.Header.Get("Authorization"))
	r.mu.Unlock()
	r.respond(w, request)
}

func stores() *store.Stores {
	s := store.New(map[string]store.Backend{contract.GatewayScheme: &gateway.Store{}})
	s.RetryTimeout = time.Nanosecond
	return s
}

func contentURI(data string) string {
	sum := sha256.Sum256([]byte(data))
	return contract.GatewayContentURI("a", hex.EncodeToString(sum[:]))
}

// TestFilesAreReadAgain rotates the token and the authorities of a pod.
func TestFilesAreReadAgain(t *testing.T) {
	r := &recorder{respond: func(w http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		w.WriteHeader(http.StatusCreated)
	}}
	first, second := httptest.NewTLSServer(r), httptest.NewTLSServer(r)
	defer second.Close()
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokenFile := setPod(t, first.URL, "first", caFile)
	s := stores()
	put := func(name string) error {
		_, err := s.Commit(t.Context(), contract.GatewayOutputs("a")+"/uid/a1/"+name, strings.NewReader("data"))
		return err
	}
	if err := put("x"); err == nil || !strings.Contains(err.Error(), "no certificate in "+caFile) {
		t.Errorf("without authorities: %v", err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Certificate().Raw})
	if err := os.WriteFile(caFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := put("x"); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if err := os.WriteFile(tokenFile, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := put("y"); err != nil {
		t.Error(err)
	}
	// A connection that is closed is opened with the authorities of that time.
	first.CloseClientConnections()
	if err := os.WriteFile(caFile, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := put("z"); err == nil {
		t.Error("the removed authority is trusted")
	}
	first.Close()
	want := []string{"PUT /v1/namespaces/a/groups/uid/a1/x Bearer first", "PUT /v1/namespaces/a/groups/uid/a1/y Bearer second"}
	if diff := cmp.Diff(want, r.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestNoGateway requires an error that names what is missing.
func TestNoGateway(t *testing.T) {
	t.Setenv(contract.GatewayURLEnv, "")
	t.Setenv(contract.GatewayTokenEnv, "")
	_, err := stores().Commit(t.Context(), contentURI("data"), strings.NewReader("data"))
	if !errors.Is(err, store.ErrNoCredentials) || !strings.Contains(err.Error(), contract.GatewayURLEnv) {
		t.Errorf("error %v", err)
	}
	tokenFile := setPod(t, "http://127.0.0.1:1", "", "")
	if _, err := stores().Commit(t.Context(), contentURI("data"), strings.NewReader("data")); !errors.Is(err, store.ErrNoCredentials) || !strings.Contains(err.Error(), tokenFile+" is empty") {
		t.Errorf("an empty token: %v", err)
	}
}

// TestContent requires that an object that exists is a success, and is not sent.
func TestContent(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		data, uri string
		exists    bool
		requests  []string
		err       error
	}{
		"a small object":                {"data", contentURI("data"), false, []string{"PUT"}, nil},
		"a small object that exists":    {"data", contentURI("data"), true, []string{"PUT"}, nil},
		"a large object":                {large, contentURI(large), false, []string{"HEAD", "PUT"}, nil},
		"a large object that exists":    {large, contentURI(large), true, []string{"HEAD"}, nil},
		"other bytes than the existing": {"other", contentURI("data"), true, []string{"PUT"}, store.ErrDigest},
		"a large object of other bytes": {large, contentURI("data"), true, []string{"HEAD"}, store.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			digest := test.uri[strings.LastIndex(test.uri, "/")+1:]
			r := &recorder{respond: func(w http.ResponseWriter, request *http.Request) {
				switch {
				case test.exists:
					w.Header().Set("Etag", `"`+digest+`"`)
				case request.Method == http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				default:
					_, _ = io.Copy(io.Discard, request.Body)
					w.WriteHeader(http.StatusCreated)
				}
			}}
			server := httptest.NewServer(r)
			defer server.Close()
			setPod(t, server.URL, "token", "")
			_, err := stores().Commit(t.Context(), test.uri, strings.NewReader(test.data))
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			var methods []string
			for _, request := range r.requests {
				method, _, _ := strings.Cut(request, " ")
				methods = append(methods, method)
			}
			if diff := cmp.Diff(test.requests, methods); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPutAdoptsEqualBytes has the object of an earlier try whose response was lost.
func TestPutAdoptsEqualBytes(t *testing.T) {
	sum := sha256.Sum256([]byte("data"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusPreconditionFailed)
		}
	}))
	defer server.Close()
	setPod(t, server.URL, "token", "")
	uri := contract.GatewayOutputs("a") + "/uid/a1/7/output"
	if _, err := stores().Put(t.Context(), uri, strings.NewReader("data")); err != nil {
		t.Errorf("equal bytes: %v", err)
	}
	if _, err := stores().Put(t.Context(), uri, strings.NewReader("other")); !errors.Is(err, store.ErrExists) {
		t.Errorf("other bytes: %v", err)
	}
}

// TestReasonIsReported requires the reason of the gateway in the error.
func TestReasonIsReported(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInsufficientStorage)
		_, _ = w.Write([]byte(`{"reason":"QuotaExceeded","message":"namespace a uses 1 of 1 bytes"}`))
	}))
	defer server.Close()
	setPod(t, server.URL, "token", "")
	_, err := stores().Put(t.Context(), contract.GatewayOutputs("a")+"/uid/a1/x", strings.NewReader("data"))
	if err == nil || !strings.Contains(err.Error(), "507 Insufficient Storage: QuotaExceeded: namespace a uses 1 of 1 bytes") || !store.IsTransient(err) {
		t.Errorf("error %v", err)
	}
}

// TestURIs refuses what could name another object at a proxy.
func TestURIs(t *testing.T) {
	setPod(t, "http://127.0.0.1:1", "token", "")
	for _, uri := range []string{"gateway://a", "gateway:///content/x", "gateway://a/", "gateway://a/content/x?y", "gateway://a/content/%2e%2e", "gateway://a/content/x#y", `gateway://a/content\x`} {
		_, err := stores().Fetch(t.Context(), uri, filepath.Join(t.TempDir(), "x"))
		if err == nil || strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: error %v", uri, err)
		}
	}
}

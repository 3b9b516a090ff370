// SPDX-License-Identifier: Apache-2.0

package azure_test

import (
	"bytes"
	"encoding/xml"
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

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
)

// service is as much of Azure Blob Storage as the runner uses.
type service struct {
	mu     sync.Mutex
	blobs  map[string][]byte
	blocks map[string][]byte
	seen   []*http.Request
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r)
	path := r.URL.Path
	_, taken := s.blobs[path]
	switch {
	case r.Method == http.MethodGet && !taken:
		w.Header().Set("X-Ms-Error-Code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		w.Header().Set("Etag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.blobs[path]))
	case r.Header.Get("If-None-Match") == "*" && taken:
		w.Header().Set("X-Ms-Error-Code", "BlobAlreadyExists")
		w.WriteHeader(http.StatusConflict)
	case r.URL.Query().Get("comp") == "block":
		s.blocks[path+r.URL.Query().Get("blockid")] = body
		w.WriteHeader(http.StatusCreated)
	case r.URL.Query().Get("comp") == "blocklist":
		var list struct{ Latest []string }
		_ = xml.Unmarshal(body, &list)
		var whole []byte
		for _, id := range list.Latest {
			whole = append(whole, s.blocks[path+id]...)
		}
		s.blobs[path] = whole
		w.WriteHeader(http.StatusCreated)
	default:
		s.blobs[path] = body
		w.WriteHeader(http.StatusCreated)
	}
}

func start(t *testing.T) (*service, *store.Stores) {
	t.Helper()
	s := &service{blobs: map[string][]byte{}, blocks: map[string][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
	t.Setenv("AZURE_STORAGE_BLOB_ENDPOINT", server.URL)
	return s, stores()
}

func stores() *store.Stores {
	all := store.New(map[string]store.Backend{"azblob": &azure.Store{}})
	all.RetryTimeout = 2 * time.Second
	return all
}

func TestKeys(t *testing.T) {
	for name, key := range map[string]string{
		"plain": "a/b", "a space": "a b", "signs": "a%b+c?d#e&f=g", "escaped dots": "%2e%2e/a", "unicode": "größe/日本",
	} {
		t.Run(name, func(t *testing.T) {
			s, all := start(t)
			uri := "azblob://container/" + key
			if _, err := all.Put(t.Context(), uri, strings.NewReader("data")); err != nil {
				t.Fatal(err)
			}
			if got := s.blobs["/container/"+key]; string(got) != "data" || !strings.HasPrefix(s.seen[0].Header.Get("Authorization"), "SharedKey account:") {
				t.Errorf("stored elsewhere: %v", s.seen[0].RequestURI)
			}
			path, err := all.Fetch(t.Context(), uri, filepath.Join(t.TempDir(), "a"))
			if raw, _ := os.ReadFile(path); err != nil || string(raw) != "data" {
				t.Errorf("fetched %q, %v", raw, err)
			}
		})
	}
}

func TestCommitCreatesOnce(t *testing.T) {
	s, all := start(t)
	if _, err := all.Commit(t.Context(), "azblob://c/m", strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Commit(t.Context(), "azblob://c/m", strings.NewReader("second")); !errors.Is(err, store.ErrExists) {
		t.Errorf("error %v", err)
	}
	if got := string(s.blobs["/c/m"]); got != "first" {
		t.Errorf("the store has %q", got)
	}
}

func TestLargeObjectsGoInBlocks(t *testing.T) {
	s, all := start(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 65<<16)
	if _, err := all.Put(t.Context(), "azblob://c/k", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if len(s.blocks) != 5 || !bytes.Equal(s.blobs["/c/k"], data) {
		t.Errorf("%d blocks make %d bytes", len(s.blocks), len(s.blobs["/c/k"]))
	}
}

func TestErrors(t *testing.T) {
	_, all := start(t)
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=hunter2")
	if _, err := all.Fetch(t.Context(), "azblob://c/k", filepath.Join(t.TempDir(), "a")); err == nil || err.Error() != "azblob://c/k: 404 Not Found: BlobNotFound" {
		t.Errorf("error %v", err)
	}
	t.Setenv("AZURE_STORAGE_BLOB_ENDPOINT", "http://127.0.0.1:1")
	if _, err := all.Fetch(t.Context(), "azblob://c/k", filepath.Join(t.TempDir(), "a")); err == nil ||
		strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "connection refused (gave up") {
		t.Errorf("error %v", err)
	}
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	if _, err := stores().Fetch(t.Context(), "azblob://c/k", filepath.Join(t.TempDir(), "a")); err == nil || !strings.Contains(err.Error(), "no account: set AZURE_STORAGE_ACCOUNT") || !store.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}

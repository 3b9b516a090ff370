// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// transfers is a bridge with a store.
func transfers(t *testing.T) (*started, *faulty.Store) {
	t.Helper()
	objects := faulty.New(t)
	s := startOn(t, "http://127.0.0.1:1", func(o *Options) {
		o.Stores = map[string]store.Backend{"http": &web.Store{}}
	})
	return s, objects
}

func TestTransfers(t *testing.T) {
	s, objects := transfers(t)
	dir := filepath.Join(t.TempDir(), "mit Leerzeichen", "größe")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("ä€\x00", 1<<18)
	source, target, uri := filepath.Join(dir, "source"), filepath.Join(dir, "target"), objects.URL+"/bucket/object"
	if err := os.WriteFile(source, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	digest := hex.EncodeToString(sum[:])
	for range 2 { // the second replaces the object and the file
		status, body := s.post(t, "/v1/upload", fmt.Sprintf(`{"executor":{},"path":%q,"uri":%q}`, source, uri))
		if want := fmt.Sprintf(`{"size":%d,"sha256":%q}`, len(content), digest); status != http.StatusOK || body != want {
			t.Fatalf("upload: %d %s, want %s", status, body, want)
		}
		status, body = s.post(t, "/v1/download", fmt.Sprintf(`{"executor":{},"path":%q,"uri":%q,"size":%d,"sha256":%q}`, target, uri, len(content), digest))
		if status != http.StatusOK {
			t.Fatalf("download: %d %s", status, body)
		}
		if got, err := os.ReadFile(target); err != nil || string(got) != content {
			t.Errorf("downloaded %d bytes, %v", len(got), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v was left, %v", entries, err)
	}
}

func TestTransfersThatFail(t *testing.T) {
	s, objects := transfers(t)
	dir := t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "target")
	if err := os.WriteFile(source, []byte("object"), 0o600); err != nil {
		t.Fatal(err)
	}
	objects.Set("/bucket/object", []byte("object"))
	objects.Fail(http.MethodPut, "/bucket/refused", faulty.Status(http.StatusForbidden))
	uri := func(name string) string { return objects.URL + "/bucket/" + name }
	for name, tc := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"a file as an object":    {"/v1/upload", fmt.Sprintf(`{"path":%q,"uri":"file:///x"}`, source), 400, "is a file: copy it"},
		"a relative path":        {"/v1/upload", fmt.Sprintf(`{"path":"source","uri":%q}`, uri("new")), 400, "must be absolute"},
		"no such file":           {"/v1/upload", fmt.Sprintf(`{"path":%q,"uri":%q}`, source+"?", uri("new")), 400, "no such file"},
		"no such store":          {"/v1/upload", fmt.Sprintf(`{"path":%q,"uri":"gs://bucket/x"}`, source), 400, `"code":"Invalid"`},
		"a refused upload":       {"/v1/upload", fmt.Sprintf(`{"path":%q,"uri":%q}`, source, uri("refused")), 422, `"code":"StoreRefused"`},
		"an object that is lost": {"/v1/download", fmt.Sprintf(`{"path":%q,"uri":%q}`, target, uri("lost")), 422, `"code":"StoreRefused"`},
		"another content": {
			"/v1/download", fmt.Sprintf(`{"path":%q,"uri":%q,"size":6,"sha256":%q}`, target, uri("object"), strings.Repeat("0", 64)), 422, "digest mismatch",
		},
		"no folder": {"/v1/download", fmt.Sprintf(`{"path":%q,"uri":%q}`, dir+"/lost/x", uri("object")), 400, "the folder to download to"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := s.post(t, tc.path, tc.body); status != tc.status || !strings.Contains(body, tc.says) {
				t.Errorf("%d %s; want %d with %q", status, body, tc.status, tc.says)
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("a download that failed left a file")
			}
		})
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v was left, %v", entries, err)
	}
}

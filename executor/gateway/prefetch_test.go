// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// TestPrefetch requires that the manifest and the small outputs of a group are requested
// once, before a client reads them, and that nothing else is requested.
func TestPrefetch(t *testing.T) {
	const location = "gateway://team/groups/uid"
	manifest := contract.Manifest{Version: contract.ManifestVersion, UID: "uid", Attempt: 1}
	output := func(node contract.NodeID, uri string, size int64) {
		manifest.Tasks = append(manifest.Tasks, contract.TaskRecord{
			NodeID: node, State: contract.TaskCompleted,
			Assets: map[contract.AssetKey]contract.Asset{contract.AssetOutput: {URI: uri, Size: size}, contract.AssetStdout: {URI: location + "/a1/1/stdout", Size: 3}},
		})
	}
	small, large, foreign := location+"/a1/1/output", location+"/a1/2/output", "gateway://team/groups/other/a1/3/output"
	output(1, small, 5)
	output(2, large, 1<<20)
	output(3, foreign, 5)
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	manifestURI := contract.ManifestURI(location + "/a1")

	a := newAPI(t, account())
	var mu sync.Mutex
	requested := map[string]int{}
	smallRequested := make(chan struct{})
	a.answer = func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.URL.Path, "/namespaces/team/")
		uri := "gateway://team/" + path
		mu.Lock()
		requested[uri]++
		first := requested[uri] == 1
		mu.Unlock()
		switch uri {
		case manifestURI:
			_, _ = w.Write(raw)
		default:
			_, _ = io.WriteString(w, "bytes")
		}
		if uri == small && first {
			close(smallRequested)
		}
	}
	g := a.gateway(t, "")
	g.Prefetch(location, manifestURI)
	<-smallRequested
	read := func(uri, want string) {
		t.Helper()
		object, err := g.Backend().Open(t.Context(), uri, store.Position{})
		if err != nil {
			t.Fatal(err)
		}
		defer object.Close()
		if got, err := io.ReadAll(object); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", uri, got, err)
		}
	}
	read(manifestURI, string(raw))
	read(small, "bytes")
	count := func(uri string) int {
		mu.Lock()
		defer mu.Unlock()
		return requested[uri]
	}
	for uri, want := range map[string]int{manifestURI: 1, small: 1, large: 0, foreign: 0, location + "/a1/1/stdout": 0} {
		if got := count(uri); got != want {
			t.Errorf("%s was requested %d times, want %d", uri, got, want)
		}
	}
	// What was read is kept no longer, and the rest of an object is never served from memory.
	read(small, "bytes")
	if got := count(small); got != 2 {
		t.Errorf("the second read made %d requests in all, want 2", got)
	}
}

// TestPrefetchFails: what could not be fetched is requested when it is read.
func TestPrefetchFails(t *testing.T) {
	const manifestURI = "gateway://team/groups/uid/a1/manifest.json"
	a := newAPI(t, account())
	failed := make(chan struct{})
	var once sync.Once
	a.answer = func(w http.ResponseWriter, r *http.Request) {
		isFirst := false
		once.Do(func() { isFirst = true })
		if isFirst {
			defer close(failed)
			refuse(http.StatusNotFound, contract.GatewayNotFound)(w, r)
			return
		}
		_, _ = io.WriteString(w, "manifest")
	}
	g := a.gateway(t, "")
	g.Prefetch("gateway://team/groups/uid", manifestURI)
	<-failed
	object, err := g.Backend().Open(t.Context(), manifestURI, store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if raw, err := io.ReadAll(object); err != nil || string(raw) != "manifest" {
		t.Errorf("read %q, %v", raw, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket/buckettest"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	gatewaystore "github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

// podStores returns the stores of a pod of attempt 1.
func podStores(url string) *store.Stores { return storesOf(url, "Authorization", "Bearer pod") }

// storesOf returns stores that send a header with each request.
func storesOf(url, header, value string) *store.Stores {
	return store.New(map[string]store.Backend{contract.GatewayScheme: &gatewaystore.Store{Config: gatewaystore.Config{
		URL: url, Client: http.DefaultClient,
		Authenticate: func(r *http.Request) error {
			r.Header.Set(header, value)
			return nil
		},
	}}})
}

func resultURI(attempt int32, name string) string {
	return contract.AttemptURI(contract.GatewayOutputs("a"), uid, attempt) + "/" + name
}

// TestFaults has the faults of all stores between the store of a pod and the handler, whose
// objects are on a volume.
func TestFaults(t *testing.T) {
	testFaults(t, func(t *testing.T) server.Objects {
		t.Helper()
		objects, err := volume.Open(volume.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = objects.Close() })
		return objects
	})
}

// TestFaultsWithBucket is TestFaults with the objects in a bucket.
func TestFaultsWithBucket(t *testing.T) {
	buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
		testFaults(t, func(t *testing.T) server.Objects { return f.Open(t) })
	})
}

func testFaults(t *testing.T, open func(t *testing.T) server.Objects) {
	storetest.Run(t, storetest.Target{
		URI:    func(_, name string) string { return resultURI(1, name) },
		Path:   func(name string) string { return results + name },
		Server: func(t *testing.T) faulty.Server { return serverOf(t, open(t)) },
		Connect: func(t *testing.T, endpoint string, _ store.Parts, _ []string) map[string]store.Backend {
			t.Helper()
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte("pod"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv(contract.GatewayURLEnv, endpoint)
			t.Setenv(contract.GatewayTokenEnv, file)
			return map[string]store.Backend{contract.GatewayScheme: &gatewaystore.Store{}}
		},
	})
}

// serverOf returns a gateway, and access to its objects without it.
func serverOf(t *testing.T, objects server.Objects) faulty.Server {
	t.Helper()
	handler, err := server.NewHandler(server.Config{Objects: objects, Reviewer: &reviewer{}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return faulty.Server{Handler: handler, Set: func(path string, data []byte) {
		l, err := objectpath.Parse(path)
		if err == nil {
			_, err = objects.Create(l, int64(len(data)), bytes.NewReader(data))
		}
		if err != nil {
			t.Error(err)
		}
	}, Get: func(path string) []byte {
		l, err := objectpath.Parse(path)
		if err != nil {
			t.Error(err)
		}
		object, err := objects.Open(l)
		if err != nil {
			return nil
		}
		defer func() { _ = object.Close() }()
		data, err := io.ReadAll(object)
		if err != nil {
			t.Error(err)
		}
		return data
	}}
}

// TestCommitRace has pods of one attempt commit at the same time.
func TestCommitRace(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{})
	storetest.CommitRace(t, func() *store.Stores { return podStores(g.URL) }, resultURI(1, "manifest.json"))
}

// TestStalePodCommitsNothing supersedes the attempt of a pod, whose error is permanent.
func TestStalePodCommitsNothing(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{})
	g.reviewer.newest.Store(2)
	_, err := podStores(g.URL).Commit(t.Context(), resultURI(1, "manifest.json"), strings.NewReader("manifest"))
	if status, ok := errors.AsType[*store.StatusError](err); !ok || status.Code != http.StatusForbidden || !store.IsPermanent(err) || !strings.Contains(err.Error(), string(contract.GatewaySuperseded)) {
		t.Errorf("error %v", err)
	}
	g.reviewer.newest.Store(1)
	if _, err := podStores(g.URL).Fetch(t.Context(), resultURI(1, "manifest.json"), filepath.Join(t.TempDir(), "m")); err == nil {
		t.Error("the stale pod committed")
	}
}

// TestManyGroupsFinishTogether has the pods of 1,000 groups store an output and commit a
// manifest at the same time. A gateway that starts afterwards on the same volume has all of
// them, and each manifest has the digest of its output.
func TestManyGroupsFinishTogether(t *testing.T) {
	const groups = 1000
	dir := t.TempDir()
	uidOf := func(i int) string { return fmt.Sprintf("7b0d3c4e-1f53-4d0e-9f0c-%012d", i) }
	uriOf := func(i int, name string) string {
		return contract.AttemptURI(contract.GatewayOutputs("a"), uidOf(i), 1) + "/" + name
	}
	outputOf := func(i int) string { return strings.Repeat(uidOf(i), 1+i%50) }
	t.Run("finish", func(t *testing.T) {
		g := start(t, volume.Config{Dir: dir}, server.Config{})
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for i := range groups {
			stores := storesOf(g.URL, "Authorization", "Bearer pod-"+uidOf(i))
			wg.Go(func() {
				<-begin
				output, err := stores.Put(t.Context(), uriOf(i, "0/output"), strings.NewReader(outputOf(i)))
				if err == nil {
					_, err = stores.Commit(t.Context(), uriOf(i, "manifest.json"), strings.NewReader(output.SHA256))
				}
				if err != nil {
					t.Errorf("group %d: %v", i, err)
				}
			})
		}
		close(begin)
		wg.Wait()
	})
	g := start(t, volume.Config{Dir: dir}, server.Config{})
	dispatcher := http.Header{contract.GatewayTokenHeader: {"dispatcher"}}
	for i := range groups {
		for name, want := range map[string]string{"0/output": outputOf(i), "manifest.json": digestOf(outputOf(i))} {
			path, err := contract.GatewayPath(uriOf(i, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := g.do(t, http.MethodGet, path, "", dispatcher); got.Code != http.StatusOK || got.Body != want || got.Etag != tag(want) {
				t.Errorf("%s: %d %s, %d bytes with %s", path, got.Code, got.Reason, len(got.Body), got.Etag)
			}
		}
	}
}

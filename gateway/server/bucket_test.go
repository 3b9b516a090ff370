// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket/buckettest"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

// inBucket is the name of a result in the bucket.
func inBucket(name string) string { return "a/groups/" + uid + "/a1/" + name }

// TestRequestsToBucket sends the requests to a gateway of each kind of bucket, and reads the
// objects with another gateway of the same bucket.
func TestRequestsToBucket(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		startWith(t, f.Open(t), server.Config{}).run(t, requests())
		startWith(t, f.Open(t), server.Config{}).run(t, []step{
			{"a result", "GET", results + "7/output", "", bearer, response{Code: 200, Body: "data", Etag: tag("data")}},
			{"an input", "GET", contentPath("a", "input"), "", bearer, response{Code: 200, Body: "input", Etag: tag("input")}},
			{"no replacement", "PUT", results + "7/output", "other", bearer, response{Code: 412, Reason: contract.GatewayExists, Etag: tag("data")}},
		})
	})
}

// TestRefusalsOfBucket requires typed refusals that the clients retry, and no 404 for an
// object that may exist.
func TestRefusalsOfBucket(t *testing.T) {
	for name, test := range map[string]struct {
		fault faulty.Fault
		want  response
	}{
		"unavailable":       {faulty.Status(503), response{Code: 503, Reason: contract.GatewayBucketUnavailable}},
		"no connection":     {faulty.Reset, response{Code: 503, Reason: contract.GatewayBucketUnavailable}},
		"permission denied": {faulty.Status(403), response{Code: 503, Reason: contract.GatewayBucketDenied}},
		"no credentials":    {faulty.Status(401), response{Code: 503, Reason: contract.GatewayBucketDenied}},
		"no space":          {faulty.Status(507), response{Code: 507, Reason: contract.GatewayVolumeFull}},
	} {
		t.Run(name, func(t *testing.T) {
			buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
				g := startWith(t, f.Open(t), server.Config{})
				path := buckettest.Path(inBucket("7/output"))
				for range 20 {
					f.Store.Fail("PUT", path, test.fault)
				}
				if got := g.do(t, "PUT", results+"7/output", "data", bearer); got != test.want {
					t.Errorf("PUT: %v", got)
				}
				for range 20 {
					f.Store.Fail("GET", path, test.fault)
				}
				for _, method := range []string{"GET", "PUT"} {
					if got := g.do(t, method, results+"7/output", "data", bearer); got != test.want {
						t.Errorf("%s of an object that cannot be read: %v", method, got)
					}
				}
				if got := g.do(t, "PUT", results+"8/output", "data", bearer); got.Code != 201 {
					t.Errorf("another object: %v", got)
				}
			})
		})
	}
}

// TestLostBucket is TestRefusalsOfBucket for a bucket that was deleted.
func TestLostBucket(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		g := startWith(t, f.Open(t), server.Config{})
		f.Lose(t, inBucket("7/output"))
		if got := g.do(t, "GET", results+"7/output", "", bearer); got.Code != 503 || got.Reason != contract.GatewayBucketUnavailable {
			t.Errorf("%v", got)
		}
	})
}

// TestSupersededDuringTransferToBucket requires that nothing is in the bucket before the
// writer was authorized again.
func TestSupersededDuringTransferToBucket(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		g := startWith(t, f.Open(t), server.Config{})
		connection, reader := g.dial(t, results+"7/output", "Authorization: Bearer pod", "Expect: 100-continue")
		for range 2 {
			if _, err := reader.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		g.reviewer.newest.Store(2)
		if _, err := connection.Write([]byte("data")); err != nil {
			t.Fatal(err)
		}
		if code, reason := readCode(t, reader); code != 403 || reason != contract.GatewaySuperseded {
			t.Errorf("code %d, reason %s", code, reason)
		}
		if raw := f.Read(inBucket("7/output")); raw != nil {
			t.Errorf("the bucket has %q", raw)
		}
	})
}

// TestCommitRaceToBucket has pods of one attempt commit at the same time.
func TestCommitRaceToBucket(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		g := startWith(t, f.Open(t), server.Config{})
		storetest.CommitRace(t, func() *store.Stores { return podStores(g.URL) }, resultURI(1, "manifest.json"))
	})
}

// TestDownloadContinues breaks the connection to the bucket in the middle of a download: the
// store of the pod requests the rest.
func TestDownloadContinues(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
		g := startWith(t, f.Open(t), server.Config{})
		pod := podStores(g.URL)
		if _, err := pod.Put(t.Context(), resultURI(1, "7/output"), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		path := buckettest.Path(inBucket("7/output"))
		f.Store.Fail("GET", path, faulty.Truncate(600_000))
		fetched, err := pod.Fetch(t.Context(), resultURI(1, "7/output"), filepath.Join(t.TempDir(), "output"))
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(fetched); !bytes.Equal(raw, data) || err != nil {
			t.Errorf("%d bytes of %d, error %v", len(raw), len(data), err)
		}
		isResumed := false
		for _, line := range f.Store.Requests() {
			isResumed = isResumed || strings.HasPrefix(line, http.MethodGet) && strings.Contains(line, "bytes=")
		}
		if !isResumed {
			t.Errorf("the download began again: %q", f.Store.Requests())
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

// Package buckettest has the buckets of the tests: one of each kind of store, which can have
// faults, and one of a real S3 server.
package buckettest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// Fixture is a bucket of a test.
type Fixture struct {
	Config bucket.Config
	// Store has the objects of a fake, whose path of an object is the result of Path; nil for the
	// real server.
	Store *faulty.Store
	// folder is the folder of the bucket of the real server.
	folder string
	// lost responds as if there was no bucket.
	lost faulty.Fault
}

// Open returns a Bucket, with short timeouts.
func (f *Fixture) Open(t *testing.T) *bucket.Bucket {
	t.Helper()
	b, err := bucket.New(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Path returns the path of an object for the faults of a fake.
func Path(name string) string { return "/bucket/prefix/" + name }

// Read returns what the bucket has of an object, nil if it does not exist.
func (f *Fixture) Read(name string) []byte {
	if f.Store != nil {
		return f.Store.Get(Path(name))
	}
	raw, err := os.ReadFile(filepath.Join(f.folder, "prefix", name))
	if err != nil {
		return nil
	}
	return raw
}

// Lose has the store respond to the next request for an object, and to a request to create
// it, as if there was no bucket.
func (f *Fixture) Lose(t *testing.T, name string) {
	t.Helper()
	if f.Store == nil {
		if err := os.RemoveAll(f.folder); err != nil {
			t.Fatal(err)
		}
		return
	}
	f.Store.Fail("GET", Path(name), f.lost)
	f.Store.Fail("PUT", Path(name), f.lost)
}

// fakes connect the stores to a server.
var fakes = map[string]struct {
	connect func(t *testing.T, endpoint string) store.Backend
	lost    faulty.Fault
}{
	"s3": {func(t *testing.T, endpoint string) store.Backend {
		s3server.SetEnv(t, endpoint)
		return &s3.Store{}
	}, explained("NoSuchBucket")},
	"gs": {func(t *testing.T, endpoint string) store.Backend {
		t.Setenv("STORAGE_EMULATOR_HOST", endpoint)
		return &gcs.Store{}
	}, explained("NoSuchBucket")},
	"azblob": {func(t *testing.T, endpoint string) store.Backend {
		t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=account;AccountKey=c2VjcmV0;BlobEndpoint="+endpoint)
		return &azure.Store{}
	}, faulty.Status(404, "X-Ms-Error-Code", "ContainerNotFound")},
}

// Each runs a test with a bucket of each kind.
func Each(t *testing.T, test func(*testing.T, *Fixture)) {
	t.Helper()
	EachFake(t, test)
	t.Run("real S3 server", func(t *testing.T) {
		server := s3server.Start(t, "127.0.0.1")
		s3server.SetEnv(t, server.Endpoint)
		test(t, &Fixture{folder: server.Bucket, Config: config(t, "s3", &s3.Store{})})
	})
}

// EachFake runs a test with a bucket of each kind that can have faults.
func EachFake(t *testing.T, test func(*testing.T, *Fixture)) {
	t.Helper()
	for scheme, fake := range fakes {
		t.Run(scheme, func(t *testing.T) {
			server := faulty.New(t)
			test(t, &Fixture{Store: server, lost: fake.lost, Config: config(t, scheme, fake.connect(t, server.URL))})
		})
	}
}

func config(t *testing.T, scheme string, backend store.Backend) bucket.Config {
	return bucket.Config{URI: scheme + "://bucket/prefix", Backend: backend, Dir: t.TempDir(), RetryTimeout: time.Second, Stall: 5 * time.Second}
}

// explained responds with an error as S3 and Google Cloud Storage describe it.
func explained(name string) faulty.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>The bucket does not exist.</Message></Error>", name)
	}
}

// SPDX-License-Identifier: Apache-2.0

package bucket_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket/buckettest"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

func result(name string) objectpath.Location {
	return objectpath.Location{Namespace: "a", UID: "uid", Attempt: 1, Name: name}
}

func content(data string) objectpath.Location {
	return objectpath.Location{Namespace: "a", Digest: digestOf(data)}
}

func digestOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

func name(l objectpath.Location) string { return "a/" + l.Path() }

func create(t *testing.T, b *bucket.Bucket, l objectpath.Location, data string) {
	t.Helper()
	info, err := b.Create(l, int64(len(data)), strings.NewReader(data))
	if want := (volume.Info{Size: int64(len(data)), Digest: digestOf(data)}); err != nil || info != want {
		t.Fatalf("info %+v, error %v", info, err)
	}
}

func read(b *bucket.Bucket, l objectpath.Location) (string, error) {
	object, err := b.Open(l)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(object)
	return string(raw), errors.Join(err, object.Close())
}

// TestObjects stores objects in every kind of bucket and reads them.
func TestObjects(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		b := f.Open(t)
		large := rand.Text() + strings.Repeat("0123456789", 100_000)
		for name, l := range map[string]objectpath.Location{"": result("7/empty"), "result": result("7/output"), "input": content("input"), large: content(large)} {
			if _, err := read(b, l); !errors.Is(err, volume.ErrNotFound) {
				t.Errorf("a missing object: error %v", err)
			}
			create(t, b, l, name)
			if got, err := read(b, l); got != name || err != nil {
				t.Errorf("%d bytes of %d, error %v", len(got), len(name), err)
			}
		}
		if raw := f.Read(name(result("7/output"))); len(raw) != volume.RecordSize+len("result") || !bytes.HasSuffix(raw, []byte("result")) {
			t.Errorf("the bucket has %q", raw)
		}
		object, err := b.Open(content(large))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = object.Close() }()
		if want := (volume.Info{Size: int64(len(large)), Digest: digestOf(large)}); object.Info != want {
			t.Errorf("info %+v, want %+v", object.Info, want)
		}
		if err := iotest.TestReader(struct{ io.ReadSeeker }{object}, []byte(large)); err != nil {
			t.Error(err)
		}
	})
}

// TestRefusedObjects requires that nothing of a refused object remains, and that no object
// is replaced.
func TestRefusedObjects(t *testing.T) {
	errAborted := errors.New("aborted")
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		b := f.Open(t)
		for name, test := range map[string]struct {
			location objectpath.Location
			size     int64
			body     io.Reader
			want     []error
		}{
			"another digest":   {content("data"), 5, strings.NewReader("other"), []error{volume.ErrDigest}},
			"a short body":     {result("short"), 5, strings.NewReader("data"), []error{volume.ErrBody, io.ErrUnexpectedEOF}},
			"an aborted body":  {result("aborted"), 5, iotest.ErrReader(errAborted), []error{volume.ErrBody, errAborted}},
			"a too large body": {result("large"), 5 << 30, iotest.ErrReader(errAborted), []error{bucket.ErrTooLarge}},
		} {
			_, err := b.Create(test.location, test.size, test.body)
			for _, want := range test.want {
				if !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", name, err, want)
				}
			}
			if _, err := read(b, test.location); !errors.Is(err, volume.ErrNotFound) {
				t.Errorf("%s: the object: %v", name, err)
			}
		}
		create(t, b, result("output"), "first")
		if _, err := b.Create(result("output"), 6, strings.NewReader("second")); !errors.Is(err, volume.ErrExists) {
			t.Errorf("a second object: error %v", err)
		}
		if got, err := read(b, result("output")); got != "first" || err != nil {
			t.Errorf("object %q, error %v", got, err)
		}
		if left, err := os.ReadDir(f.Config.Dir); len(left) > 0 || err != nil {
			t.Errorf("files of uploads %v, %v", left, err)
		}
	})
}

// TestWriters has several gateways store the same object.
func TestWriters(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		var wg sync.WaitGroup
		var won atomic.Int32
		for range 8 {
			b := f.Open(t)
			wg.Go(func() {
				switch _, err := b.Create(result("manifest.json"), 4, strings.NewReader("data")); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, volume.ErrExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d writers succeeded", won.Load())
		}
	})
}

// TestPrepare requires that a gateway starts again with its bucket.
func TestPrepare(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		for range 2 {
			if err := f.Open(t).Prepare(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if f.Read(".taskgroup-gateway") == nil {
			t.Error("no object was created")
		}
	})
}

// TestLostBucket requires that no object is reported as missing.
func TestLostBucket(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		b, l := f.Open(t), result("output")
		f.Lose(t, name(l))
		_, err := b.Open(l)
		if !errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, volume.ErrNotFound) || b.Check() == nil {
			t.Errorf("Open: error %v", err)
		}
		_, err = b.Create(l, 4, strings.NewReader("data"))
		if !errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, volume.ErrNotFound) || b.Check() == nil {
			t.Errorf("Create: error %v", err)
		}
	})
}

// TestFailures maps the failures of a bucket.
func TestFailures(t *testing.T) {
	for title, test := range map[string]struct {
		method string
		faults []faulty.Fault
		want   error
	}{
		"a read is refused":                        {"GET", []faulty.Fault{faulty.Status(403)}, bucket.ErrDenied},
		"a read without credentials":               {"GET", []faulty.Fault{faulty.Status(401)}, bucket.ErrDenied},
		"a read fails":                             {"GET", []faulty.Fault{faulty.Status(503)}, bucket.ErrUnavailable},
		"a read is not answered":                   {"GET", []faulty.Fault{faulty.Truncate(0)}, bucket.ErrUnavailable},
		"a read is redirected":                     {"GET", []faulty.Fault{faulty.Redirect("http://127.0.0.1:1/")}, bucket.ErrUnavailable},
		"a response ends in the record":            {"GET", []faulty.Fault{faulty.Truncate(20)}, bucket.ErrUnavailable},
		"a write is refused":                       {"PUT", []faulty.Fault{faulty.Status(403)}, bucket.ErrDenied},
		"a write finds no bucket":                  {"PUT", []faulty.Fault{faulty.Status(404)}, bucket.ErrUnavailable},
		"a write finds no space":                   {"PUT", slicesOf(faulty.Status(507), 20), bucket.ErrFull},
		"a write fails":                            {"PUT", slicesOf(faulty.Status(503), 20), bucket.ErrUnavailable},
		"a write succeeds later":                   {"PUT", []faulty.Fault{faulty.Status(503), faulty.Status(500)}, nil},
		"a connection of a write breaks":           {"PUT", []faulty.Fault{faulty.Reset}, nil},
		"the response to a write is lost":          {"PUT", []faulty.Fault{faulty.LoseAnswer}, nil},
		"the response is lost and then an error":   {"PUT", []faulty.Fault{faulty.LoseAnswer, faulty.Status(503)}, nil},
		"a write is not answered in a retried try": {"PUT", []faulty.Fault{faulty.Truncate(0)}, nil},
	} {
		t.Run(title, func(t *testing.T) {
			buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
				b, l := f.Open(t), result("output")
				var err error
				if test.method == http.MethodGet {
					create(t, b, l, "data")
					f.Store.Fail(test.method, buckettest.Path(name(l)), test.faults...)
					_, err = b.Open(l)
				} else {
					f.Store.Fail(test.method, buckettest.Path(name(l)), test.faults...)
					_, err = b.Create(l, 4, strings.NewReader("data"))
				}
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want %v", err, test.want)
				}
				hasFailed := test.want != nil && !errors.Is(test.want, bucket.ErrFull)
				if (b.Check() != nil) != hasFailed {
					t.Errorf("Check: %v", b.Check())
				}
				f.Store.Fail("PUT", buckettest.Path(name(l))) // no further faults
				if test.want == nil {
					if got, err := read(b, l); got != "data" || err != nil {
						t.Errorf("object %q, error %v", got, err)
					}
				}
			})
		})
	}
}

func slicesOf(fault faulty.Fault, n int) []faulty.Fault {
	all := make([]faulty.Fault, n)
	for i := range all {
		all[i] = fault
	}
	return all
}

// TestInterruptedRead requires an error in the middle of an object, and the rest after it.
func TestInterruptedRead(t *testing.T) {
	for title, fault := range map[string]faulty.Fault{"the connection breaks": faulty.Truncate(100 << 10), "the response stalls": faulty.Stall(100 << 10)} {
		t.Run(title, func(t *testing.T) {
			buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
				f.Config.Stall = 200 * time.Millisecond
				b, l, data := f.Open(t), result("output"), strings.Repeat("0123456789", 20_000)
				create(t, b, l, data)
				f.Store.Fail("GET", buckettest.Path(name(l)), fault)
				object, err := b.Open(l)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = object.Close() }()
				first, err := io.ReadAll(object)
				if !errors.Is(err, bucket.ErrUnavailable) || len(first) == 0 || len(first) == len(data) {
					t.Fatalf("%d bytes, error %v", len(first), err)
				}
				if _, err := object.Seek(int64(len(first)), io.SeekStart); err != nil {
					t.Fatal(err)
				}
				rest, err := io.ReadAll(object)
				if got := string(first) + string(rest); got != data || err != nil {
					t.Errorf("%d bytes of %d, error %v", len(got), len(data), err)
				}
			})
		})
	}
}

// TestDamagedObjects requires that foreign and truncated objects are recognized.
func TestDamagedObjects(t *testing.T) {
	buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
		b, l := f.Open(t), result("output")
		create(t, b, l, "data")
		whole := f.Read(name(l))
		for title, raw := range map[string][]byte{
			"empty": {}, "foreign": []byte(strings.Repeat("x", 100)), "without its end": whole[:len(whole)-1], "with more": append(bytes.Clone(whole), 'x'), "a part of the record": whole[:10],
		} {
			f.Store.Set(buckettest.Path(name(l)), raw)
			if _, err := b.Open(l); !errors.Is(err, volume.ErrDamaged) {
				t.Errorf("%s: error %v", title, err)
			}
		}
	})
}

// TestReplacedObject refuses to continue with another object.
func TestReplacedObject(t *testing.T) {
	buckettest.EachFake(t, func(t *testing.T, f *buckettest.Fixture) {
		b, l := f.Open(t), result("output")
		create(t, b, l, "data")
		object, err := b.Open(l)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = object.Close() }()
		f.Store.Delete(buckettest.Path(name(l)))
		create(t, b, l, "atad")
		if _, err := object.Seek(2, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(object); !errors.Is(err, volume.ErrDamaged) {
			t.Errorf("read %q, error %v", got, err)
		}
	})
}

// TestUnconditionalServer refuses a server that would let two pods win.
func TestUnconditionalServer(t *testing.T) {
	server := faulty.New(t)
	server.IgnoreIfNoneMatch()
	s3server.SetEnv(t, server.URL)
	b, err := bucket.New(bucket.Config{URI: "s3://bucket", Backend: &s3.Store{}, Dir: t.TempDir(), RetryTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(result("output"), 4, strings.NewReader("data")); !errors.Is(err, bucket.ErrUnconditional) {
		t.Errorf("error %v", err)
	}
}

// TestUploadFolder requires that a folder without space, or a missing one, is no error of
// the client.
func TestUploadFolder(t *testing.T) {
	server := faulty.New(t)
	s3server.SetEnv(t, server.URL)
	b, err := bucket.New(bucket.Config{URI: "s3://bucket", Backend: &s3.Store{}, Dir: filepath.Join(t.TempDir(), "missing")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(result("output"), 4, strings.NewReader("data")); !errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, volume.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// TestUploadSpace refuses an upload that would exceed the space, until there is space.
func TestUploadSpace(t *testing.T) {
	server := faulty.New(t)
	s3server.SetEnv(t, server.URL)
	b, err := bucket.New(bucket.Config{URI: "s3://bucket", Backend: &s3.Store{}, Dir: t.TempDir(), MaxReceived: 6})
	if err != nil {
		t.Fatal(err)
	}
	body, sender := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := b.Create(result("first"), 4, body); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.WriteString(sender, "d"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(result("second"), 4, strings.NewReader("data")); !errors.Is(err, bucket.ErrFull) {
		t.Errorf("error %v", err)
	}
	if _, err := io.WriteString(sender, "ata"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	create(t, b, result("second"), "data")
}

// TestMemory transfers an object that is far larger than what may be allocated.
func TestMemory(t *testing.T) {
	const size, most = 256 << 20, 16 << 20
	server := s3server.Start(t, "127.0.0.1")
	s3server.SetEnv(t, server.Endpoint)
	b, err := bucket.New(bucket.Config{URI: "s3://bucket", Backend: &s3.Store{}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := b.Create(result("large"), size, zeros{}); err != nil {
		t.Fatal(err)
	}
	object, err := b.Open(result("large"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = object.Close() }()
	n, err := io.Copy(io.Discard, object)
	if n != size || err != nil {
		t.Fatalf("%d bytes, error %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
		t.Errorf("%d bytes were allocated for %d", allocated, size)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestCheckURI(t *testing.T) {
	for uri, want := range map[string]string{
		"s3://bucket": "", "gs://bucket/a/b/": "", "azblob://container/prefix": "", "s3://arn:aws:s3:region:account:accesspoint/name/prefix": "",
		"":                       "want scheme://bucket",
		"bucket/prefix":          "want scheme://bucket",
		"s3:///prefix":           "want scheme://bucket",
		"s3://key:secret@bucket": "no user",
		"s3://bucket?x=1":        "no user",
		"s3://bucket/a//b":       "empty or dots",
		"s3://bucket/../b":       "empty or dots",
		"s3://bucket/" + strings.Repeat("a", 129): "more than 128 bytes",
	} {
		if err := bucket.CheckURI(uri); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", uri, err, want)
		}
	}
}

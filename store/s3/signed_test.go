// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

const signedPlace = "s3://bucket/out dir/uid-1"

// sign writes the signed URLs of permissions, with the credentials of the test's
// environment, to a file.
func sign(t *testing.T, lifetime time.Duration, endpoint string, permissions ...contract.Permission) string {
	t.Helper()
	packed := s3server.Sign(t, "uid-1", signedPlace, endpoint, lifetime, permissions...)
	path := filepath.Join(t.TempDir(), contract.SignedURLsKey)
	if err := os.WriteFile(path, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withoutCredentials is a pod's stores: the environment has nothing of the account.
func withoutCredentials(t *testing.T, path string) *store.Stores {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(name, "")
	}
	s := store.New(map[string]store.Backend{"s3": &s3.Signed{Path: path, UID: "uid-1"}})
	s.RetryTimeout = 2 * time.Second
	return s
}

func allOf(uris ...string) []contract.Permission {
	var all []contract.Permission
	for _, uri := range uris {
		for _, access := range []contract.Access{contract.AccessGet, contract.AccessPut, contract.AccessCreate} {
			all = append(all, contract.Permission{Access: access, URI: uri})
		}
	}
	return all
}

func TestSignedKeysOfARealServer(t *testing.T) {
	bucket := serve(t)
	keys := []string{"out dir/uid-1/a1/7/output", "with space/a b", "signs/a%b+c?d#e&f=g", "%2e%2e/a", "größe/日本/x", "%20"}
	var uris []string
	for _, key := range keys {
		uris = append(uris, "s3://bucket/"+key)
	}
	s := withoutCredentials(t, sign(t, time.Hour, "", allOf(uris...)...))
	for i, key := range keys {
		got, err := s.Put(t.Context(), uris[i], strings.NewReader("data of "+key))
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if raw, err := os.ReadFile(filepath.Join(bucket, key)); string(raw) != "data of "+key {
			t.Errorf("%s: stored %q, %v", key, raw, err)
		}
		s.Expect(got)
		if _, err := s.Fetch(t.Context(), uris[i], filepath.Join(t.TempDir(), "a")); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestSignedCommitOnARealServer(t *testing.T) {
	serve(t)
	uri := signedPlace + "/a1/manifest.json"
	path := sign(t, time.Hour, "", allOf(uri)...)
	s := withoutCredentials(t, path)
	if _, err := s.Commit(t.Context(), uri, strings.NewReader("mine")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), uri, strings.NewReader("another's")); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second commit: %v", err)
	}
	// Holders of the URL, such as a task, cannot leave the condition out.
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	urls, err := contract.DecodeSignedURLs(packed)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := urls.URL(contract.Permission{Access: contract.AccessCreate, URI: uri})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("forged"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		t.Errorf("the manifest was replaced: %s", answer.Status)
	}
}

func TestRefusalsOfSignedURLs(t *testing.T) {
	serve(t)
	uri := signedPlace + "/a1/7/output"
	get := contract.Permission{Access: contract.AccessGet, URI: uri}
	valid := sign(t, time.Hour, "", get, contract.Permission{Access: contract.AccessGet, URI: "s3://absent/k"})
	brief := sign(t, time.Second, "", get)
	packed, err := os.ReadFile(brief)
	if err != nil {
		t.Fatal(err)
	}
	urls, err := contract.DecodeSignedURLs(packed)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	forged := sign(t, time.Hour, "", get)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ path, uri, want string }{
		"no such key":         {valid, uri, "404 Not Found: NoSuchKey: The specified key does not exist."},
		"no such bucket":      {valid, "s3://absent/k", "404 Not Found: NoSuchBucket: The specified bucket does not exist"},
		"a wrong signature":   {forged, uri, "403 Forbidden: SignatureDoesNotMatch: "},
		"an expired URL":      {brief, uri, "403 Forbidden: "},
		"what was not signed": {valid, signedPlace + "/a9/7/output", "no URL was signed to get it"},
		"somebody else's":     {valid, "s3://bucket/other", "no URL was signed to get it"},
		"a file that is none": {empty, uri, "unpacking the signed URLs: EOF"},
		"no file":             {empty + "-", uri, "reading the signed URLs: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := withoutCredentials(t, test.path)
			if test.path == brief {
				<-time.After(time.Until(urls.Until.Add(time.Second)))
			}
			_, err := s.Fetch(t.Context(), test.uri, filepath.Join(t.TempDir(), "a"))
			if err == nil || !strings.HasPrefix(err.Error(), test.uri+": "+test.want) || strings.Contains(err.Error(), "gave up") || strings.Contains(err.Error(), "X-Amz") {
				t.Errorf("error %v", err)
			}
			if test.path == brief && !strings.HasSuffix(err.Error(), "the signed URL has expired, it was valid until "+urls.Until.Format(time.RFC3339)) {
				t.Errorf("error %v", err)
			}
		})
	}
	other := store.New(map[string]store.Backend{"s3": &s3.Signed{Path: valid, UID: "uid-2"}})
	if _, err := other.Put(t.Context(), uri, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "another TaskGroup, with UID uid-1") {
		t.Errorf("of another group: %v", err)
	}
}

// TestSignedLargeObject: there is no upload in parts.
func TestSignedLargeObject(t *testing.T) {
	bucket := serve(t)
	uri := signedPlace + "/a1/7/output"
	s := withoutCredentials(t, sign(t, time.Hour, "", allOf(uri)...))
	const size = 70 << 20
	if got, err := s.Put(t.Context(), uri, zeros(size)); err != nil || got.Size != size {
		t.Fatalf("record %+v, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(bucket, "out dir/uid-1/a1/7/output")); err != nil || info.Size() != size {
		t.Errorf("stored %v, %v", info, err)
	}
}

func TestSignerWithoutCredentials(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, _, err := (&s3.Signer{}).Sign(t.Context(), "", time.Hour, allOf("s3://b/k")); err == nil || !strings.Contains(err.Error(), "no credentials: set AWS_ACCESS_KEY_ID") {
		t.Errorf("error %v", err)
	}
}

func TestSignerTakesTheEndpoint(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	for endpoint, want := range map[string]string{
		"": "http://127.0.0.1:1/bucket/k?", "http://minio.minio:9000": "http://minio.minio:9000/bucket/k?",
	} {
		urls, _, err := (&s3.Signer{}).Sign(t.Context(), endpoint, time.Hour, []contract.Permission{{Access: contract.AccessGet, URI: "s3://bucket/k"}})
		if err != nil || len(urls) != 1 || !strings.HasPrefix(urls[0], want) {
			t.Errorf("%q: %q, %v", endpoint, urls, err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	b.Setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
	b.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s, permissions := &s3.Signer{}, allOf("s3://bucket/a")
	for b.Loop() {
		if _, _, err := s.Sign(b.Context(), "", time.Hour, permissions); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(permissions)), "µs/URL")
}

// TestProbeWithoutAURL is distinguished from a location that does not accept objects.
func TestProbeWithoutAURL(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	s := withoutCredentials(t, sign(t, time.Hour, "", allOf("s3://bucket/in")...))
	if err := s.Probe(t.Context(), signedPlace+"/a1/begun", []byte("pod")); !errors.Is(err, store.ErrNotSigned) || !store.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

func TestKeysOfARealServer(t *testing.T) {
	bucket := serve(t)
	s := stores()
	for name, key := range map[string]string{
		"plain": "a/b", "a space": "with space/a b", "signs": "signs/a%b+c?d#e&f=g", "escaped dots": "%2e%2e/a", "unicode": "größe/日本/x",
		"an escape": "%20",
	} {
		t.Run(name, func(t *testing.T) {
			uri := "s3://bucket/" + key
			got, err := s.Put(t.Context(), uri, strings.NewReader("data of "+key))
			sum := sha256.Sum256([]byte("data of " + key))
			if want := (contract.Asset{URI: uri, Size: int64(len("data of " + key)), SHA256: hex.EncodeToString(sum[:])}); err != nil || got != want {
				t.Fatalf("record %+v, %v", got, err)
			}
			if raw, err := os.ReadFile(filepath.Join(bucket, key)); string(raw) != "data of "+key {
				t.Errorf("stored %q, %v", raw, err)
			}
			path, err := s.Fetch(t.Context(), uri, filepath.Join(t.TempDir(), "a"))
			if raw, _ := os.ReadFile(path); err != nil || string(raw) != "data of "+key {
				t.Errorf("fetched %q, %v", raw, err)
			}
		})
	}
}

func TestCommitOnARealServer(t *testing.T) {
	serve(t)
	storetest.CommitRace(t, stores, "s3://bucket/x/manifest.json")
}

func TestRefusalsOfARealServer(t *testing.T) {
	serve(t)
	tests := map[string]struct {
		uri, secret, want string
	}{
		"no such key":       {"s3://bucket/absent", s3server.SecretKey, "404 Not Found: NoSuchKey: The specified key does not exist."},
		"no such bucket":    {"s3://absent/k", s3server.SecretKey, "404 Not Found: NoSuchBucket: The specified bucket does not exist"},
		"wrong credentials": {"s3://bucket/k", "wrong", "403 Forbidden: SignatureDoesNotMatch: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_SECRET_ACCESS_KEY", test.secret)
			_, err := stores().Fetch(t.Context(), test.uri, filepath.Join(t.TempDir(), "a"))
			if err == nil || !strings.HasPrefix(err.Error(), test.uri+": "+test.want) || strings.Contains(err.Error(), "gave up") {
				t.Errorf("error %v", err)
			}
			if _, err := stores().Put(t.Context(), test.uri, strings.NewReader("x")); (err == nil) != (name == "no such key") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestLargeObjectOnARealServer(t *testing.T) {
	bucket := serve(t)
	s := stores()
	const size = 100<<20 + 1
	got, err := s.Put(t.Context(), "s3://bucket/large", zeros(size))
	sum := sha256.New()
	_, _ = io.Copy(sum, zeros(size))
	if err != nil || got.Size != size || got.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		t.Fatalf("record %+v, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(bucket, "large")); err != nil || info.Size() != size {
		t.Errorf("stored %v, %v", info, err)
	}
	s.Expect(got)
	if _, err := s.Fetch(t.Context(), got.URI, filepath.Join(t.TempDir(), "a")); err != nil {
		t.Error(err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	tests := map[string]struct{ uri, want string }{
		"dots":              {"s3://b/../k", "a key with . or .. as a part of its path"},
		"dots within":       {"s3://b/a/../../k", "a key with . or .. as a part of its path"},
		"dots at the end":   {"s3://b/a/..", "a key with . or .. as a part of its path"},
		"one dot":           {"s3://b/./k", "a key with . or .. as a part of its path"},
		"10,000 characters": {"s3://b/" + strings.Repeat("a", 10_000), "a key of more than 1,024 bytes"},
		"no key":            {"s3://b/", "want scheme://bucket/key"},
		"no bucket":         {"s3:///k", "want scheme://bucket/key"},
		"neither":           {"s3:k", "want scheme://bucket/key"},
		"credentials":       {"s3://key:secret@b/k", "a bucket's name has letters, digits, dots, dashes and underscores only"},
		"NUL":               {"s3://b/k\x00", "a URI with a NUL character"},
		"no text":           {"s3://b/k\xff", "a key that is not UTF-8"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := store.RedactURI(test.uri) + ": " + test.want
			if _, err := stores().Fetch(t.Context(), test.uri, filepath.Join(t.TempDir(), "a")); err == nil || err.Error() != want {
				t.Errorf("Fetch: error %v", err)
			}
			if _, err := stores().Put(t.Context(), test.uri, strings.NewReader("x")); err == nil || err.Error() != want {
				t.Errorf("Put: error %v", err)
			}
		})
	}
}

func TestWithoutCredentials(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	_, err := stores().Fetch(t.Context(), "s3://b/k", filepath.Join(t.TempDir(), "a"))
	if err == nil || !strings.HasPrefix(err.Error(), "s3://b/k: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from a Secret, mount a file") || !store.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}

func TestCredentialsOfAMountedFile(t *testing.T) {
	var authorization, sum string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		authorization, sum = r.Header.Get("Authorization"), r.Header.Get("X-Amz-Content-Sha256")
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	s3server.SetEnv(t, server.URL)
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = FROMFILE\naws_secret_access_key = s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	got, err := stores().Put(t.Context(), "s3://b/k", strings.NewReader("data"))
	if err != nil || !strings.Contains(authorization, "Credential=FROMFILE/") {
		t.Errorf("authorization %q, %v", authorization, err)
	}
	// The digest is part of the signature: the store verifies what it gets.
	if sum != got.SHA256 {
		t.Errorf("sent the digest %q of %+v", sum, got)
	}
}

func TestAnswersOfServers(t *testing.T) {
	xml := func(code string) string { return "<Error><Code>" + code + "</Code><Message>m</Message></Error>" }
	tests := map[string]struct {
		code  int
		body  string
		want  string
		tries int
	}{
		"slow down":     {503, xml("SlowDown"), "", 2},
		"a slow body":   {400, xml("RequestTimeout"), "", 2},
		"commits met":   {409, xml("ConditionalRequestConflict"), "", 2},
		"bad request":   {400, xml("InvalidRequest"), "400 Bad Request: InvalidRequest: m", 1},
		"not as signed": {403, xml("SignatureDoesNotMatch"), "403 Forbidden: SignatureDoesNotMatch: m", 1},
		"elsewhere":     {301, xml("PermanentRedirect"), "301 Moved Permanently: PermanentRedirect: m: the bucket is of another region: set AWS_REGION", 1},
		"no conditions": {501, xml("NotImplemented"), "501 Not Implemented: NotImplemented: m: the server does not know this request; a commit needs If-None-Match", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tries := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if tries++; tries == 1 {
					w.WriteHeader(test.code)
					_, _ = w.Write([]byte(test.body))
				}
			}))
			defer server.Close()
			s3server.SetEnv(t, server.URL)
			_, err := stores().Put(t.Context(), "s3://b/k", strings.NewReader("data"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != "s3://b/k: "+test.want) || tries != test.tries {
				t.Errorf("%d tries, error %v", tries, err)
			}
		})
	}
}

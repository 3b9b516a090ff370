// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

func TestURLsAreSentAsTheyAreWritten(t *testing.T) {
	tests := map[string]struct{ target, want string }{
		"signed by S3":        {"/b/k?X-Amz-Signature=ab%2Fc%2f+d~e&X-Amz-Credential=A%2F20260101", ""},
		"signed by Azure":     {"/c/b?sv=2024-01-01&sig=a%2Bb%3D%3D&se=2026-01-01T00%3A00%3A00Z", ""},
		"empty query":         {"/k?", ""},
		"lower-case escapes":  {"/a%2fb%c3%b6?x=%2f", ""},
		"needless escapes":    {"/%61%7E?%61=%7e", ""},
		"signs":               {"/a!$&'()*+,;=:@[]|^`{}\\\"<>?a=[]|^`{}\\\"<>!$'()*,;:@/?", ""},
		"two slashes":         {"//a//b", ""},
		"dots":                {"/a/../b/./c", ""},
		"escaped dots":        {"/a/%2e%2e/b", ""},
		"no path":             {"", "/"},
		"no path, but query":  {"?a=b", "/?a=b"},
		"a fragment":          {"/a#part", "/a"},
		"a space in the path": {"/a b", "/a%20b"},
		"beyond ASCII":        {"/größe", "/gr%C3%B6%C3%9Fe"},
		"10,000 characters":   {"/" + strings.Repeat("a", 10_000), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
			defer server.Close()
			if _, err := stores().Fetch(t.Context(), server.URL+test.target, filepath.Join(t.TempDir(), "a")); err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want == "" {
				want = test.target
			}
			if got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		})
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	tests := map[string]struct{ uri, want string }{
		"no host":                  {"http:///a", "http:///a: a URL without a host"},
		"no slashes":               {"http:a", "http:a: a URL without a host"},
		"a bad escape":             {"http://h/%zz", "http://h/%zz: malformed URL"},
		"a space in the query":     {"http://h/a?b c", "http://h/a?REDACTED: a URL with a space or a character beyond ASCII in its query: write it as %XX"},
		"a line break":             {"http://h/a?b\r\nX: y", "http://h/a?REDACTED: malformed URL"},
		"NUL":                      {"http://h/a\x00", "http://h/a\x00: a URI with a NUL character"},
		"the cloud's metadata":     {"http://169.254.169.254/latest?token=x", "http://169.254.169.254/latest?REDACTED: dial tcp 169.254.169.254:80: link-local addresses are no stores"},
		"the same, as IPv6":        {"http://[::ffff:169.254.169.254]/", "http://[::ffff:169.254.169.254]/: dial tcp 169.254.169.254:80: link-local addresses are no stores"},
		"the same, as one number":  {"http://[fe80::1%25lo]/", "link-local addresses are no stores"},
		"a password is not shown":  {"http://user:secret@169.254.0.1/", "http://REDACTED@169.254.0.1/: dial tcp 169.254.0.1:80: link-local addresses are no stores"},
		"a scheme in capitals":     {"HTTP://h/", `HTTP://h/: unknown scheme "HTTP": this runner knows http, https`},
		"a scheme without backend": {"gopher://h/", `gopher://h/: unknown scheme "gopher": this runner knows http, https`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := stores().Fetch(t.Context(), test.uri, filepath.Join(t.TempDir(), "a")); err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestCommitOnAServerThatReplaces(t *testing.T) {
	server := faulty.New(t)
	server.IgnoreIfNoneMatch()
	_, err := stores().Commit(t.Context(), server.URL+"/m?sig=secret", strings.NewReader("manifest"))
	expectError(t, err, server.URL+"/m?REDACTED: ", "the store ignores If-None-Match: *, so that it cannot keep two attempts apart")
}

func TestCommitRace(t *testing.T) {
	storetest.CommitRace(t, stores, faulty.New(t).URL+"/m")
}

func TestCommitAfterALostAnswer(t *testing.T) {
	server := faulty.New(t)
	server.Set("/m", []byte("another's"))
	server.Fail("PUT", "/m", faulty.LoseAnswer)
	if _, err := stores().Commit(t.Context(), server.URL+"/m", strings.NewReader("mine")); !errors.Is(err, store.ErrExists) {
		t.Errorf("error %v", err)
	}
	if got := string(server.Get("/m")); got != "another's" {
		t.Errorf("replaced by %q", got)
	}
}

func TestRedirectsDoNotTellTheNextHostTheSignature(t *testing.T) {
	var header http.Header
	next := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header = r.Header }))
	defer next.Close()
	first := faulty.New(t)
	first.Fail("GET", "/a", faulty.Redirect(next.URL))
	if _, err := stores().Fetch(t.Context(), strings.Replace(first.URL, "://", "://user:password@", 1)+"/a?sig=secret", filepath.Join(t.TempDir(), "a")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Referer", "Authorization", "Cookie"} {
		if got := header.Get(name); got != "" && next.URL != first.URL {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	server := faulty.New(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(server.URL+"/a", http.StatusFound))
	defer secure.Close()
	_, err := stores().Fetch(t.Context(), secure.URL+"/a?sig=secret", filepath.Join(t.TempDir(), "a"))
	expectError(t, err, secure.URL+"/a?REDACTED: ", "certificate signed by unknown authority")
	if got := server.Requests(); len(got) != 0 {
		t.Errorf("requests %q", got)
	}
}

// TestPutWithoutPermissionToReplace: the response to the first try is lost, and the
// second one is refused because the object exists.
func TestPutWithoutPermissionToReplace(t *testing.T) {
	tests := map[string]struct {
		stored string
		want   string
	}{
		"its own object": {"", ""},
		"another object": {"something else", "403 Forbidden"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := faulty.New(t)
			server.RefuseToReplace()
			if test.stored != "" {
				server.Set("/a", []byte(test.stored))
			}
			server.Fail("PUT", "/a", faulty.LoseAnswer)
			_, err := stores().Put(t.Context(), server.URL+"/a", strings.NewReader("result"))
			if test.want == "" && (err != nil || string(server.Get("/a")) != "result") {
				t.Errorf("error %v, stored %q", err, server.Get("/a"))
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestConditionIsVerifiedOnce: the first commit of a pod verifies that the server honours
// its condition, and later ones take one request.
func TestConditionIsVerifiedOnce(t *testing.T) {
	t.Parallel()
	server, s := faulty.New(t), stores()
	if err := s.Probe(t.Context(), server.URL+"/started.json", []byte("pod-1")); err != nil {
		t.Fatal(err)
	}
	before := len(server.Requests())
	for _, path := range []string{"/0/checkpoint.json", "/manifest.json"} {
		if _, err := s.Commit(t.Context(), server.URL+path, strings.NewReader("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(server.Requests()) - before; before != 2 || got != 2 {
		t.Errorf("%d requests of the probe and %d of two commits, want 2 and 2", before, got)
	}
}

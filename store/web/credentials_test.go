// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

// TestCredentials: they are sent to their host, and to no other one.
func TestCredentials(t *testing.T) {
	const basic = "Basic dXNlcjpwYXNz"
	tests := map[string]struct {
		host, token, user, password, netrc string
		want                               string
	}{
		"none":                        {"", "", "", "", "", ""},
		"a token":                     {"HOST", "secret", "", "", "", "Bearer secret"},
		"a token of another host":     {"other.example", "secret", "", "", "", ""},
		"a token of another port":     {"127.0.0.1:1", "secret", "", "", "", ""},
		"a token of every port":       {"127.0.0.1", "secret", "", "", "", "Bearer secret"},
		"a user":                      {"HOST", "", "user", "pass", "", basic},
		"a file":                      {"", "", "", "", "machine other.example login a password b\nmachine 127.0.0.1\n  login user\n  password pass\n", basic},
		"a file without the host":     {"", "", "", "", "machine other.example login user password pass", ""},
		"a default is for every host": {"", "", "", "", "default login user password pass", ""},
		"the variables before a file": {"127.0.0.1", "secret", "", "", "machine 127.0.0.1 login user password pass", "Bearer secret"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server, next := faulty.New(t), faulty.New(t)
			var got, leaked []string
			record := func(into *[]string) faulty.Fault {
				return func(w http.ResponseWriter, r *http.Request, store http.Handler) {
					*into = append(*into, r.Header.Get("Authorization"))
					store.ServeHTTP(w, r)
				}
			}
			server.Set("/a", []byte("x"))
			server.Fail("GET", "/a", record(&got))
			server.Fail("GET", "/moved", faulty.Redirect(next.URL+"/a"))
			server.Fail("PUT", "/a", record(&got))
			next.Set("/a", []byte("x"))
			next.Fail("GET", "/a", record(&leaked))
			t.Setenv("HTTP_STORE_HOST", strings.Replace(test.host, "HOST", strings.TrimPrefix(server.URL, "http://"), 1))
			t.Setenv("HTTP_STORE_TOKEN", test.token)
			t.Setenv("HTTP_STORE_USER", test.user)
			t.Setenv("HTTP_STORE_PASSWORD", test.password)
			t.Setenv("NETRC", "")
			if test.netrc != "" {
				path := filepath.Join(t.TempDir(), "netrc")
				if err := os.WriteFile(path, []byte(test.netrc), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("NETRC", path)
			}
			s := stores()
			for _, path := range []string{"/a", "/moved"} {
				if _, err := s.Fetch(t.Context(), server.URL+path, filepath.Join(t.TempDir(), "a")); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.Put(t.Context(), server.URL+"/a", strings.NewReader("y")); err != nil {
				t.Error(err)
			}
			if len(got) != 2 || got[0] != test.want || got[1] != test.want {
				t.Errorf("sent %q, want %q", got, test.want)
			}
			if len(leaked) != 1 || leaked[0] != "" {
				t.Errorf("sent %q to another host", leaked)
			}
		})
	}
}

func TestCredentialsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ env, value, want string }{
		"a token without a host": {"HTTP_STORE_TOKEN", "secret", "set HTTP_STORE_HOST to the host[:port] that may receive it"},
		"no such file":           {"NETRC", "/nonexistent", "reading the credentials that NETRC names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(test.env, test.value)
			_, err := stores().Put(t.Context(), faulty.New(t).URL+"/a", strings.NewReader("x"))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestFoldersOfWebDAV: the folders of an object are created, also by several pods at a
// time.
func TestFoldersOfWebDAV(t *testing.T) {
	t.Parallel()
	server := faulty.New(t)
	server.RequireFolders("/out")
	s := stores()
	for _, path := range []string{"/out/uid/a1/0/output", "/out/uid/a1/0/stdout", "/out/uid/a1/1/output"} {
		if _, err := s.Put(t.Context(), server.URL+path, strings.NewReader("x")); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Commit(t.Context(), server.URL+"/out/uid/a2/manifest.json", strings.NewReader("m")); err != nil {
		t.Error(err)
	}
	server.Fail("MKCOL", "/forbidden/", faulty.Status(403))
	if _, err := s.Put(t.Context(), server.URL+"/forbidden/a", strings.NewReader("x")); err == nil || !strings.HasSuffix(err.Error(), "/forbidden/a: 409 Conflict") {
		t.Errorf("error %v", err)
	}
}

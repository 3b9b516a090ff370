// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// stores give up after two seconds.
func stores() *store.Stores {
	backend := &web.Store{}
	s := store.New(map[string]store.Backend{"http": backend, "https": backend})
	s.RetryTimeout, s.Stall = 2*time.Second, 100*time.Millisecond
	return s
}

func forever(f faulty.Fault) []faulty.Fault { return slices.Repeat([]faulty.Fault{f}, 100) }

// object is larger than what connections buffer.
var object = bytes.Repeat([]byte("0123456789abcdef"), 1<<15)

func TestFetchFaults(t *testing.T) {
	const get, half = "GET /a", " bytes=262144-"
	always := forever
	tests := map[string]struct {
		faults []faulty.Fault
		// want is the end of the error; empty where the object comes.
		want string
		// requests are all, where they are few.
		requests []string
	}{
		"none":                        {nil, "", []string{get}},
		"503 twice":                   {[]faulty.Fault{faulty.Status(503), faulty.Status(503)}, "", []string{get, get, get}},
		"503 for ever":                {always(faulty.Status(503)), "503 Service Unavailable (gave up after", nil},
		"408":                         {[]faulty.Fault{faulty.Status(408)}, "", []string{get, get}},
		"too early":                   {[]faulty.Fault{faulty.Status(425)}, "", []string{get, get}},
		"500":                         {[]faulty.Fault{faulty.Status(500)}, "", []string{get, get}},
		"reset":                       {[]faulty.Fault{faulty.Reset}, "", []string{get, get}},
		"429":                         {[]faulty.Fault{faulty.Status(429, "Retry-After", "0")}, "", []string{get, get}},
		"429 with too long a wait":    {[]faulty.Fault{faulty.Status(429, "Retry-After", "5")}, "429 Too Many Requests (gave up after 0s and 1 try)", []string{get}},
		"truncated: resumed":          {[]faulty.Fault{faulty.Truncate(1 << 18)}, "", []string{get, get + half}},
		"truncated, twice":            {[]faulty.Fault{faulty.Truncate(1 << 17), faulty.Truncate(1 << 17)}, "", []string{get, get + " bytes=131072-", get + half}},
		"a length too long":           {always(faulty.Length(1)), "unexpected EOF (gave up after", nil},
		"stalled: resumed":            {[]faulty.Fault{faulty.Stall(1 << 18)}, "", []string{get, get + half}},
		"stalled for ever":            {always(faulty.Stall(0)), "the transfer stalled: 0 bytes in 100ms (gave up after", nil},
		"400":                         {[]faulty.Fault{faulty.Status(400)}, "400 Bad Request", []string{get}},
		"401":                         {[]faulty.Fault{faulty.Status(401)}, "401 Unauthorized", []string{get}},
		"403":                         {[]faulty.Fault{faulty.Status(403)}, "403 Forbidden", []string{get}},
		"404":                         {[]faulty.Fault{faulty.Status(404)}, "404 Not Found", []string{get}},
		"501":                         {[]faulty.Fault{faulty.Status(501)}, "501 Not Implemented", []string{get}},
		"a redirect to a file":        {[]faulty.Fault{faulty.Redirect("file:///etc/passwd")}, "redirect refused: from http to file", []string{get}},
		"a redirect to cloud's data":  {[]faulty.Fault{faulty.Redirect("http://169.254.169.254/latest")}, "link-local addresses are no stores", []string{get}},
		"a redirect to a dead end":    {[]faulty.Fault{faulty.Redirect("/gone")}, "404 Not Found", []string{get, "GET /gone"}},
		"redirects in a circle":       {always(faulty.Redirect("/a")), "redirect refused: more than 5 in a row", slices.Repeat([]string{get}, 6)},
		"a redirect without a target": {[]faulty.Fault{faulty.Status(302)}, "302 Found|302 response missing Location header", []string{get}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := faulty.New(t)
			server.Set("/a", object)
			server.Fail("GET", "/a", test.faults...)
			dest := filepath.Join(t.TempDir(), "a")
			path, err := stores().Fetch(t.Context(), server.URL+"/a", dest)
			expectError(t, err, server.URL+"/a: ", test.want)
			if test.requests != nil {
				if diff := cmp.Diff(test.requests, server.Requests()); diff != "" {
					t.Error(diff)
				}
			}
			if raw, readErr := os.ReadFile(dest); test.want == "" && (path != dest || !bytes.Equal(raw, object)) {
				t.Errorf("%d bytes at %q, %v", len(raw), path, readErr)
			} else if test.want != "" && !errors.Is(readErr, os.ErrNotExist) {
				t.Errorf("left %d bytes", len(raw))
			}
		})
	}
}

func TestFetchOfWhatIsKnown(t *testing.T) {
	sum := sha256.Sum256(object)
	want := contract.Asset{Size: int64(len(object)), SHA256: hex.EncodeToString(sum[:])}
	tests := map[string]struct {
		faults []faulty.Fault
		want   string
	}{
		"as recorded":               {nil, ""},
		"a bit flipped on the way":  {[]faulty.Fault{faulty.Flip}, ""},
		"a bit flipped for ever":    {[]faulty.Fault{faulty.Flip, faulty.Flip}, "recorded are 524288 bytes with " + want.SHA256},
		"a length too short":        {[]faulty.Fault{faulty.Length(-1), faulty.Length(-1)}, "digest mismatch: it has 524287 bytes"},
		"truncated, then resumed":   {[]faulty.Fault{faulty.Truncate(1 << 18)}, ""},
		"changed before the resume": {[]faulty.Fault{faulty.Truncate(1 << 18), faulty.Status(412)}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := faulty.New(t)
			server.Set("/a", object)
			server.Fail("GET", "/a", test.faults...)
			s, want := stores(), want
			want.URI = server.URL + "/a"
			s.Expect(want)
			_, err := s.Fetch(t.Context(), want.URI, filepath.Join(t.TempDir(), "a"))
			expectError(t, err, want.URI+": ", test.want)
			if test.want != "" && !errors.Is(err, store.ErrDigest) {
				t.Errorf("error %v is no mismatch", err)
			}
		})
	}
}

func TestPutFaults(t *testing.T) {
	tests := map[string]struct {
		faults []faulty.Fault
		want   string
		tries  int
	}{
		"none":          {nil, "", 1},
		"503 twice":     {[]faulty.Fault{faulty.Status(503), faulty.Status(503)}, "", 3},
		"reset":         {[]faulty.Fault{faulty.Reset}, "", 2},
		"a lost answer": {[]faulty.Fault{faulty.LoseAnswer}, "", 2},
		"403":           {[]faulty.Fault{faulty.Status(403)}, "403 Forbidden", 1},
		"405":           {[]faulty.Fault{faulty.Status(405)}, "405 Method Not Allowed: the server takes no PUT", 1},
		"a redirect":    {[]faulty.Fault{faulty.Redirect("/b"), faulty.Redirect("/b")}, "", 1},
		"a redirect that drops the body": {[]faulty.Fault{faulty.Status(302, "Location", "/b")},
			"redirect refused: it makes a GET of a PUT", 1},
	}
	for name, test := range tests {
		for _, verb := range []string{"Put", "Commit"} {
			t.Run(verb+", "+name, func(t *testing.T) {
				t.Parallel()
				server := faulty.New(t)
				server.Fail("PUT", "/a", test.faults...)
				s := stores()
				put, extra := s.Put, 0
				if verb == "Commit" {
					put, extra = s.Commit, 1
				}
				got, err := put(t.Context(), server.URL+"/a", bytes.NewReader(object))
				expectError(t, err, server.URL+"/a: ", test.want)
				sum := sha256.Sum256(object)
				want := contract.Asset{URI: server.URL + "/a", Size: int64(len(object)), SHA256: hex.EncodeToString(sum[:])}
				if test.want == "" && got != want {
					t.Errorf("record %+v", got)
				}
				if name == "a redirect" {
					if test.want == "" && !bytes.Equal(server.Get("/b"), object) {
						t.Error("the store has something else")
					}
					return
				}
				puts := slices.DeleteFunc(server.Requests(), func(line string) bool { return !strings.HasPrefix(line, "PUT") })
				if test.want != "" || name == "a lost answer" {
					extra = 0 // the second try found what the first one wrote: no doubt is left
				}
				if len(puts) != test.tries+extra {
					t.Errorf("requests %q", server.Requests())
				}
				if test.want == "" && !bytes.Equal(server.Get("/a"), object) {
					t.Error("the store has something else")
				}
			})
		}
	}
}

// expectError compares an error with one of the texts that may be, up to what
// follows it.
func expectError(t *testing.T, err error, prefix, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	for text := range strings.SplitSeq(want, "|") {
		if err != nil && strings.HasPrefix(err.Error(), prefix) && strings.Contains(err.Error(), text) {
			return
		}
	}
	t.Errorf("error %v, want %s%s", err, prefix, want)
}

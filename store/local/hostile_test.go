// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// TestHostileFileNames is the table of docs/stores.md for file://.
func TestHostileFileNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "target"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": "target", "loop": "loop", "dangling": "absent", "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	const dots = "a path with . or .. as a part of it"
	tests := map[string]struct {
		path string
		// fetch and put are the ends of the errors; empty where it works.
		fetch, put string
	}{
		"dots":                {"/x/../target", dots, dots},
		"escaped dots":        {"/x/%2e%2e/target", dots, dots},
		"dots after a slash":  {"/x%2f..%2ftarget", dots, dots},
		"escaped twice":       {"/%252e%252e/target", "no such file", ""},
		"two slashes":         {"//target", "", ""},
		"a link":              {"/link", "", ""},
		"a link to itself":    {"/loop", "too many levels of symbolic links", ""},
		"a link to nothing":   {"/dangling", "no such file", ""},
		"a link to a folder":  {"/up/" + filepath.Base(dir) + "/target", "", ""},
		"NUL":                 {"/a%00b", "invalid argument", "invalid argument"},
		"NUL, not escaped":    {"/a\x00b", "a URI with a NUL character", "a URI with a NUL character"},
		"10,000 characters":   {"/" + strings.Repeat("a", 10_000), "file name too long", "file name too long"},
		"unicode":             {"/%C3%B6", "no such file", ""},
		"a percent sign":      {"/%25", "no such file", ""},
		"a bad escape":        {"/%zz", "malformed URI", "malformed URI"},
		"a line break":        {"/%0a", "no such file", ""},
		"not escaped, either": {"/\n", "malformed URI", "malformed URI"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			uri := "file://" + dir + test.path
			_, err := stores().Fetch(t.Context(), uri, "/nowhere")
			expectEnd(t, "Fetch", err, test.fetch)
			_, err = stores().Put(t.Context(), uri, strings.NewReader("new"))
			expectEnd(t, "Put", err, test.put)
		})
	}
	if info, err := os.Lstat(filepath.Join(dir, "link")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("an output was written through a link: %v, %v", info, err)
	}
}

func TestCommitDoesNotFollowLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("elsewhere", filepath.Join(dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := stores().Commit(t.Context(), "file://"+dir+"/manifest.json", strings.NewReader("m")); !errors.Is(err, store.ErrExists) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "elsewhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("written through a link: %v", err)
	}
}

func expectEnd(t *testing.T, verb string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", verb, err)
	case want != "" && (err == nil || !strings.HasSuffix(err.Error(), ": "+want)):
		t.Errorf("%s: error %v, want %s", verb, err, want)
	}
}

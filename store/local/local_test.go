// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

func TestPutWritesWholeFilesAndTellsTheirDigest(t *testing.T) {
	tests := map[string]string{
		"text":           "hello",
		"nothing":        "",
		"binary":         string([]byte{0, 255, 10, 13}),
		"several copies": strings.Repeat("0123456789", 1<<16),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			uri := "file://" + dir + "/a%20b/größe/output"
			got, err := stores().Put(t.Context(), uri, iotest.HalfReader(strings.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(data))
			want := contract.Asset{URI: uri, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			path := filepath.Join(dir, "a b", "größe", "output")
			raw, err := os.ReadFile(path)
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || string(raw) != data || info.Mode() != 0o444 {
				t.Errorf("%d bytes, mode %v, %v", len(raw), info.Mode(), err)
			}
			expectFiles(t, filepath.Dir(path), "output")
		})
	}
}

func TestPutReplaces(t *testing.T) {
	uri := "file://" + t.TempDir() + "/a"
	for _, data := range []string{"first", "second"} {
		if _, err := stores().Put(t.Context(), uri, strings.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	if raw, _ := os.ReadFile(strings.TrimPrefix(uri, "file://")); string(raw) != "second" {
		t.Errorf("read %q", raw)
	}
}

func TestPutLeavesNothingOfABrokenSource(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("connection reset")
	source := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if _, err := stores().Put(t.Context(), "file://"+dir+"/a", source); !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
	expectFiles(t, dir)
}

func TestCommitCreatesOnce(t *testing.T) {
	dir := t.TempDir()
	uri := "file://" + dir + "/x/manifest.json"
	all := stores()
	if _, err := all.Put(t.Context(), "file://"+dir+"/x/1/stdout", strings.NewReader("s")); err != nil {
		t.Fatal(err)
	}
	storetest.CommitRace(t, func() *store.Stores { return all }, uri)
	if _, err := all.Commit(t.Context(), uri, strings.NewReader("another")); !errors.Is(err, store.ErrExists) || err.Error() != uri+": already committed" {
		t.Errorf("err = %v", err)
	}
	expectFiles(t, filepath.Join(dir, "x"), "1", "manifest.json")
}

func TestCommitFailsWhereAnAssetIsGone(t *testing.T) {
	dir := t.TempDir()
	all := stores()
	if _, err := all.Put(t.Context(), "file://"+dir+"/stdout", strings.NewReader("s")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "stdout")); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Commit(t.Context(), "file://"+dir+"/manifest.json", strings.NewReader("m")); err == nil {
		t.Error("a manifest was committed that refers to nothing")
	}
	expectFiles(t, dir)
}

func TestFetchReturnsThePathItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b#?%ü")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"", "localhost"} {
		uri := (&url.URL{Scheme: "file", Host: host, Path: path}).String()
		if got, err := stores().Fetch(t.Context(), uri, "/nowhere"); err != nil || got != path {
			t.Errorf("Fetch(%s) = %s, %v", uri, got, err)
		}
	}
}

func TestFetchRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", dir+"/loop"); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ uri, want string }{
		"missing":       {"file://" + dir + "/absent", "no such file"},
		"directory":     {"file://" + dir, "is a directory"},
		"named pipe":    {"file://" + dir + "/fifo", "not a regular file"},
		"loop of links": {"file://" + dir + "/loop", "too many levels of symbolic links"},
		"below a file":  {"file:///dev/null/x", "not a directory"},
		"NUL":           {"file:///a%00b", "invalid argument"},
		"too long":      {"file:///" + strings.Repeat("a", 300), "file name too long"},
		"host":          {"file://nas/a", `a file URI with host "nas": write file:///path`},
		"query":         {"file:///a?b", "a file URI with a query or fragment: write ? as %3F and # as %23"},
		"fragment":      {"file:///a#b", "a file URI with a query or fragment: write ? as %3F and # as %23"},
		"relative":      {"file:a", "a file URI without an absolute path: write file:///path"},
		"no path":       {"file://", "a file URI without an absolute path: write file:///path"},
		"no scheme":     {"/a", `unknown scheme "": this runner knows file`},
		"other scheme":  {"s3://b/k", `unknown scheme "s3": this runner knows file`},
		"malformed":     {"file://%zz", "malformed URI"},
		"empty":         {"", `unknown scheme "": this runner knows file`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if path, err := stores().Fetch(t.Context(), test.uri, "/nowhere"); err == nil || err.Error() != strings.Replace(test.uri, "?b", "?REDACTED", 1)+": "+test.want {
				t.Errorf("Fetch = %q, %v; want %s", path, err, test.want)
			}
		})
	}
	if _, err := stores().Fetch(t.Context(), "file:///absent", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v, want one that is os.ErrNotExist", err)
	}
}

// stores read and write files.
func stores() *store.Stores { return store.New(map[string]store.Backend{"file": local.New()}) }

func expectFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files in %s: %s", dir, diff)
	}
}

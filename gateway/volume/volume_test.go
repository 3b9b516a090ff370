// SPDX-License-Identifier: Apache-2.0

package volume_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

func open(t *testing.T, dir string, quota int64) *volume.Volume {
	t.Helper()
	v, err := volume.Open(volume.Config{Dir: dir, Quota: func(string) int64 { return quota }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func result(name string) objectpath.Location {
	return objectpath.Location{Namespace: "a", UID: "uid", Attempt: 1, Name: name}
}

func content(data string) objectpath.Location {
	sum := sha256.Sum256([]byte(data))
	return objectpath.Location{Namespace: "a", Digest: hex.EncodeToString(sum[:])}
}

func create(t *testing.T, v *volume.Volume, l objectpath.Location, data string) {
	t.Helper()
	if _, err := v.Create(l, int64(len(data)), strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func read(v *volume.Volume, l objectpath.Location) (string, error) {
	object, err := v.Open(l)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(object)
	return string(raw), errors.Join(err, object.Close())
}

// files are the names of all regular files in a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(name, dir+"/"))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func TestCreateAndOpen(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, 0)
	for _, data := range []string{"", "x", strings.Repeat("0123456789", 100_000)} {
		for _, l := range []objectpath.Location{content(data), result("n" + hex.EncodeToString([]byte{byte(len(data))}) + "/output")} {
			create(t, v, l, data)
			object, err := v.Open(l)
			if err != nil {
				t.Fatal(err)
			}
			if want := (volume.Info{Size: int64(len(data)), Digest: content(data).Digest}); object.Info != want {
				t.Errorf("info %+v, want %+v", object.Info, want)
			}
			_ = object.Close()
			if got, err := read(v, l); got != data || err != nil {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if _, err := v.Create(l, int64(len(data)), strings.NewReader(data)); !errors.Is(err, volume.ErrExists) {
				t.Errorf("created twice: %v", err)
			}
		}
	}
	if left := files(t, dir+"/temporary"); len(left) > 0 {
		t.Errorf("temporary files %q", left)
	}
}

func TestErrors(t *testing.T) {
	cut := errors.New("the client is gone")
	cases := map[string]struct {
		do   func(v *volume.Volume) error
		want error
	}{
		"no such object": {func(v *volume.Volume) error { _, err := v.Open(result("x")); return err }, volume.ErrNotFound},
		"a folder":       {func(v *volume.Volume) error { _, err := v.Open(result("7")); return err }, volume.ErrNotFound},
		"an object as a folder": {func(v *volume.Volume) error {
			_, err := v.Create(result("7/output/x"), 1, strings.NewReader("x"))
			return err
		}, volume.ErrConflict},
		"an object far above": {func(v *volume.Volume) error {
			_, err := v.Create(result("7/output/x/y"), 1, strings.NewReader("x"))
			return err
		}, volume.ErrConflict},
		"a folder as an object": {func(v *volume.Volume) error { _, err := v.Create(result("7"), 1, strings.NewReader("x")); return err }, volume.ErrConflict},
		"another digest":        {func(v *volume.Volume) error { _, err := v.Create(content("x"), 1, strings.NewReader("y")); return err }, volume.ErrDigest},
		"a short body":          {func(v *volume.Volume) error { _, err := v.Create(result("x"), 2, strings.NewReader("y")); return err }, volume.ErrBody},
		"a body that breaks": {func(v *volume.Volume) error {
			_, err := v.Create(result("x"), 9, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(cut)))
			return err
		}, volume.ErrBody},
		"the quota": {func(v *volume.Volume) error {
			_, err := v.Create(result("x"), 20_000, iotest.ErrReader(cut))
			return err
		}, volume.ErrQuota},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			v := open(t, dir, 20_000)
			create(t, v, result("7/output"), "data")
			before, usage := files(t, dir), v.Usage()
			if err := tc.do(v); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if diff := cmp.Diff(before, files(t, dir)); diff != "" {
				t.Errorf("files: %s", diff)
			}
			if diff := cmp.Diff(usage, v.Usage()); diff != "" {
				t.Errorf("usage: %s", diff)
			}
		})
	}
}

// TestOneWriterWins has many writers of one object, of which one succeeds.
func TestOneWriterWins(t *testing.T) {
	v := open(t, t.TempDir(), 0)
	var wg sync.WaitGroup
	var won atomic.Int32
	for range 16 {
		wg.Go(func() {
			switch _, err := v.Create(result("7/manifest.json"), 1, strings.NewReader("x")); {
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
}

// TestReopenedVolume has the same objects and the same usage, and no temporary files.
func TestReopenedVolume(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, 0)
	create(t, v, result("7/output"), strings.Repeat("x", 5000))
	create(t, v, content("input"), "input")
	usage := v.Usage()
	if want := (map[string]int64{"a": 8192 + 4096}); !cmp.Equal(usage, want) {
		t.Errorf("usage %v, want %v", usage, want)
	}
	if _, err := volume.Open(volume.Config{Dir: dir}); !errors.Is(err, volume.ErrInUse) {
		t.Errorf("a second gateway: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"crashed", "folder/a1/output"} {
		path := filepath.Join(dir, "temporary", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("part"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	v = open(t, dir, 0)
	if left := files(t, dir+"/temporary"); len(left) > 0 {
		t.Errorf("temporary files %q", left)
	}
	if diff := cmp.Diff(usage, v.Usage()); diff != "" {
		t.Error(diff)
	}
	if got, err := read(v, content("input")); got != "input" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestDamagedObject(t *testing.T) {
	for name, damage := range map[string]func(raw []byte) []byte{
		"cut off":       func(raw []byte) []byte { return raw[:len(raw)-1] },
		"empty":         func([]byte) []byte { return nil },
		"one byte more": func(raw []byte) []byte { return append([]byte("x"), raw...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			v := open(t, dir, 0)
			create(t, v, result("7/output"), "data")
			path := filepath.Join(dir, "namespaces/a/groups/uid/a1/7/output")
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := v.Open(result("7/output")); !errors.Is(err, volume.ErrDamaged) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestLinksAreNotFollowed has a link to a file outside the volume.
func TestLinksAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	v := open(t, dir, 0)
	create(t, v, result("7/output"), "data")
	if err := errors.Join(os.WriteFile(outside, bytes.Repeat([]byte("s"), 100), 0o600), os.Symlink(outside, filepath.Join(dir, "namespaces/a/groups/uid/a1/7/link"))); err != nil {
		t.Fatal(err)
	}
	if got, err := read(v, result("7/link")); err == nil {
		t.Errorf("read %q", got)
	}
}

// TestLostVolume: a missing object is not distinguished from a lost volume by the file
// system. The clients retry only the latter.
func TestLostVolume(t *testing.T) {
	base := t.TempDir()
	dir, away := filepath.Join(base, "volume"), filepath.Join(base, "away")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	v := open(t, dir, 0)
	create(t, v, result("7/output"), "data")
	marker := filepath.Join(dir, ".taskgroup-gateway")
	// The volume answers, without its files: what a lost mount looks like.
	if err := errors.Join(os.Rename(marker, filepath.Join(base, "marker")), os.Rename(filepath.Join(dir, "namespaces"), away)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open(result("7/output")); !errors.Is(err, volume.ErrUnavailable) {
		t.Errorf("reading: %v", err)
	}
	if _, err := v.Create(result("8/output"), 1, strings.NewReader("x")); !errors.Is(err, volume.ErrUnavailable) {
		t.Errorf("writing: %v", err)
	}
	if err := v.Groups(func(volume.Group) error { return nil }); !errors.Is(err, volume.ErrUnavailable) {
		t.Errorf("listing: %v", err)
	}
	if err := errors.Join(os.Rename(filepath.Join(base, "marker"), marker), os.Rename(away, filepath.Join(dir, "namespaces"))); err != nil {
		t.Fatal(err)
	}
	if got, err := read(v, result("7/output")); got != "data" || err != nil {
		t.Errorf("after the volume returned: %q, %v", got, err)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, 0)
	create(t, v, result("7/output"), strings.Repeat("x", 9000))
	create(t, v, result("7/manifest.json"), "{}")
	create(t, v, content("input"), "input")
	group, input := volume.Group{Namespace: "a", UID: "uid"}, volume.Content{Namespace: "a", Digest: content("input").Digest}

	reader, err := v.Open(result("7/output"))
	if err != nil {
		t.Fatal(err)
	}
	if removed, err := v.RemoveGroup(group); removed || err != nil {
		t.Errorf("removed while it is read: %t, %v", removed, err)
	}
	_ = reader.Close()
	if removed, err := v.RemoveContent(input); removed || err != nil {
		t.Errorf("removed although it was used: %t, %v", removed, err)
	}
	if diff := cmp.Diff([]volume.Content{input}, v.Touched()); diff != "" {
		t.Error(diff)
	}
	if removed, err := v.RemoveContent(input); !removed || err != nil {
		t.Errorf("not removed: %t, %v", removed, err)
	}
	if removed, err := v.RemoveGroup(group); !removed || err != nil {
		t.Errorf("not removed: %t, %v", removed, err)
	}
	if removed, err := v.RemoveGroup(group); removed || err != nil {
		t.Errorf("removed twice: %t, %v", removed, err)
	}
	if diff := cmp.Diff([]string{".lock", ".taskgroup-gateway"}, files(t, dir)); diff != "" {
		t.Errorf("files: %s", diff)
	}
	if diff := cmp.Diff(map[string]int64{}, v.Usage(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("usage: %s", diff)
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir, 0)
	state := v.State("collection")
	if raw, err := state.Load(); raw != nil || err != nil {
		t.Errorf("%q, %v", raw, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := state.Save([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if raw, err := state.Load(); string(raw) != want || err != nil {
			t.Errorf("%q, %v", raw, err)
		}
	}
}

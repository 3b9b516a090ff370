// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

func newLayout(t *testing.T, dir string) layout.Layout {
	t.Helper()
	l, err := layout.New(filepath.Base(dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestValidateRefusesFlagsThatDoNotFit(t *testing.T) {
	tests := map[string]struct {
		options Options
		images  []string
		wantErr bool
	}{
		"a plain control plane":            {Options{ControlPlaneOnly: true}, nil, false},
		"without a scheduler":              {Options{ControlPlaneOnly: true, NoScheduler: true}, nil, false},
		"an image without a node":          {Options{ControlPlaneOnly: true}, []string{"x.tar"}, true},
		"a node without a scheduler":       {Options{NoScheduler: true}, nil, true},
		"an extra argument with dashes":    {Options{ControlPlaneOnly: true, ExtraManagerArgs: []string{"--v=2"}}, nil, true},
		"an extra argument with no value":  {Options{ControlPlaneOnly: true, ExtraAPIServerArgs: []string{"v"}}, nil, true},
		"an extra argument that is proper": {Options{ControlPlaneOnly: true, ExtraAPIServerArgs: []string{"v=2"}}, nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := Request{Options: test.options, Images: test.images}.Validate()
			if (err != nil) != test.wantErr {
				t.Errorf("Validate: %v, want error: %v", err, test.wantErr)
			}
		})
	}
}

func TestStateIsReadAsItWasWritten(t *testing.T) {
	l := newLayout(t, filepath.Join(t.TempDir(), "a"))
	if _, err := loadState(l); !errors.Is(err, errAbsent) {
		t.Errorf("loadState before there is one = %v, want errAbsent", err)
	}
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	want := State{Name: "a", Ready: true, Options: Options{ControlPlaneOnly: true, ExtraManagerArgs: []string{"v=2"}}}
	if err := want.save(l); err != nil {
		t.Fatal(err)
	}
	got, err := loadState(l)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Options, got.Options); diff != "" || !got.Ready {
		t.Errorf("loadState = %+v, want %+v", got, want)
	}
}

func TestFoldersOfOthersAreNeverCleared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	l := newLayout(t, dir)
	write(t, filepath.Join(dir, "thesis.txt"), "years of work")
	if err := refuseForeign(l); err == nil {
		t.Error("refuseForeign accepts a folder with files")
	}
	if err := Down(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Errorf("after Down: %v", err)
	}
}

func TestDownRemovesAClustersFolderAndIsIdempotent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	l := newLayout(t, dir)
	write(t, l.StateFile(), "{}")
	write(t, filepath.Join(l.Etcd(), "db"), "x")
	for range 2 {
		if err := Down(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("after Down the folder is there: %v", err)
		}
	}
}

func TestAFailedStartKeepsItsLogs(t *testing.T) {
	l := newLayout(t, filepath.Join(t.TempDir(), "a"))
	write(t, filepath.Join(l.Logs(), "etcd.log"), "why")
	write(t, filepath.Join(l.PKI(), "ca.key"), "secret")
	if err := cleanButLogs(l, State{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if diff := cmp.Diff([]string{"cluster.json", "logs"}, left); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func TestListFindsClustersWhoseFolderIsLost(t *testing.T) {
	parent, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	runRoot := t.TempDir()
	write(t, filepath.Join(parent, "a", "cluster.json"), "{}")
	write(t, filepath.Join(parent, "not-a-cluster", "file"), "")
	write(t, filepath.Join(runRoot, "1", "owner"), filepath.Join(parent, "a"))
	write(t, filepath.Join(runRoot, "2", "owner"), filepath.Join(parent, "lost"))
	write(t, filepath.Join(runRoot, "3", "owner"), "/another/checkout/.cluster/b")

	found, err := list(parent, runRoot)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range found {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"a", "lost"}, names); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func testConfig() Config {
	return Config{
		Layout: layout.Layout{Name: "a", Dir: "/repo/.cluster/a", Short: "0a1b2c3d"},
		Bin:    "/cache/bin",
		Block:  network.Block{Prefix: netip.MustParsePrefix("10.214.2.0/23")},
		Server: "https://10.214.3.1:20000",
	}
}

func TestRenderedFiles(t *testing.T) {
	for file, templateName := range files {
		t.Run(file, func(t *testing.T) {
			got, err := testConfig().render(templateName)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Base(file), got)
		})
	}
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	golden := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestRemoveLinksIntoLeavesOtherLinks(t *testing.T) {
	dir := t.TempDir()
	for link, target := range map[string]string{
		"ours": "/repo/.cluster/a/pod-logs/x/0.log", "neighbour": "/repo/.cluster/ab/pod-logs/x/0.log", "other": "/repo/.cluster/a/pod-logs-2/x",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeLinksInto(dir, "/repo/.cluster/a/pod-logs"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range left {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"neighbour", "other"}, names); diff != "" {
		t.Errorf("links that are left (-want +got):\n%s", diff)
	}
}

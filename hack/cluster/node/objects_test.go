// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestObjects(t *testing.T) {
	objects, err := testConfig().Objects()
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, object := range objects {
		fmt.Fprintf(&all, "--- # %s\n%s", object.Collection, object.Manifest)
	}
	compareGolden(t, "objects.yaml", all.Bytes())
}

func TestVolumesHaveFoldersInTheClustersFolder(t *testing.T) {
	c := testConfig()
	c.Layout.Dir = t.TempDir()
	if err := c.makeVolumes(); err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(c.Layout.Dir, "volumes", "*"))
	if err != nil || len(folders) != volumeCount {
		t.Fatalf("folders %q, %v; want %d", folders, err, volumeCount)
	}
	for _, v := range c.volumes() {
		if info, err := os.Stat(v.Path); err != nil || !info.IsDir() {
			t.Errorf("volume %s: %v, want a folder", v.Name, err)
		}
	}
}

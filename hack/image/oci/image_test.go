// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func source(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func archive(t *testing.T, files ...File) []byte {
	t.Helper()
	layer, err := FilesLayer(files)
	if err != nil {
		t.Fatal(err)
	}
	image, err := Image(layer, v1.Config{Entrypoint: []string{"/a"}, Labels: map[string]string{"key": "value"}})
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "sub", "x.tar")
	if err := Write(output, "localhost/test/a:dev", image); err != nil {
		t.Fatal(err)
	}
	if got := Label(output, "key"); got != "value" {
		t.Errorf("Label = %q, want the one that was written", got)
	}
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheSameInputGivesTheSameArchive(t *testing.T) {
	a, b := source(t, "a", "one"), source(t, "b", "two")
	first := archive(t, File{"/a", a, 0o755}, File{"/etc/b", b, 0o644})
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(a, later, later); err != nil {
		t.Fatal(err)
	}
	second := archive(t, File{"/etc/b", b, 0o644}, File{"/a", a, 0o755})
	if !bytes.Equal(first, second) {
		t.Error("the archives differ; want them not to follow file times or the order of files")
	}
}

func TestFilesLayerHasFoldersBeforeFiles(t *testing.T) {
	layer, err := FilesLayer([]File{{"/etc/ssl/b", source(t, "b", "two"), 0o644}, {"/a", source(t, "a", "one"), 0o755}})
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, header.Name)
	}
	if diff := cmp.Diff([]string{"etc/", "etc/ssl/", "a", "etc/ssl/b"}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestWriteRefusesAReferenceThatIsNotComplete(t *testing.T) {
	layer, err := FilesLayer(nil)
	if err != nil {
		t.Fatal(err)
	}
	image, err := Image(layer, v1.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(t.TempDir(), "x.tar"), "just-a-name", image); err == nil {
		t.Error("Write succeeded, want an error: the name would mean a public registry")
	}
}

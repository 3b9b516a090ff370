// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	modified = time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600))
	files    = []File{{Name: "b/readme", Mode: 0o644, Data: []byte("two")}, {Name: "a", Mode: 0o755, Data: []byte("one")}}
	want     = []string{"a -rwxr-xr-x 2026-03-04T04:06:07Z one", "b/readme -rw-r--r-- 2026-03-04T04:06:07Z two"}
)

func entry(name string, mode fmt.Stringer, at time.Time, data io.Reader) string {
	content, err := io.ReadAll(data)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s %s %s", name, mode, at.UTC().Format(time.RFC3339), content)
}

func TestTarGz(t *testing.T) {
	data, err := TarGz(files, modified)
	if err != nil {
		t.Fatal(err)
	}
	uncompressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for reader := tar.NewReader(uncompressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry(header.Name, header.FileInfo().Mode(), header.ModTime, reader))
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" {
			t.Errorf("%s belongs to %d:%d (%s)", header.Name, header.Uid, header.Gid, header.Uname)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestZip(t *testing.T) {
	data, err := Zip(files, modified)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range reader.File {
		content, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry(file.Name, file.Mode(), file.Modified, content))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// TestOrderOfFiles requires the same archive for another order, at another time.
func TestOrderOfFiles(t *testing.T) {
	reversed := slices.Clone(files)
	slices.Reverse(reversed)
	for name, write := range map[string]func([]File, time.Time) ([]byte, error){"tar": TarGz, "zip": Zip} {
		first, err := write(files, modified)
		if err != nil {
			t.Fatal(err)
		}
		second, err := write(reversed, modified.In(time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("the %s files differ", name)
		}
	}
}

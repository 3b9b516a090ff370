// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// File is a file of an archive.
type File struct {
	// Name is its path, with slashes.
	Name string
	Mode fs.FileMode
	Data []byte
}

func sorted(files []File) []File {
	return slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
}

// TarGz returns a compressed tar file.
func TarGz(files []File, modified time.Time) ([]byte, error) {
	var buffer bytes.Buffer
	// The header of gzip has no name and no time by default.
	compressed := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(compressed)
	for _, file := range sorted(files) {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: file.Name, Mode: int64(file.Mode.Perm()), Size: int64(len(file.Data)),
			ModTime: modified.UTC().Truncate(time.Second), Format: tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("adding %s to an archive: %w", file.Name, err)
		}
		if _, err := archive.Write(file.Data); err != nil {
			return nil, fmt.Errorf("adding %s to an archive: %w", file.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("closing an archive: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return nil, fmt.Errorf("compressing an archive: %w", err)
	}
	return buffer.Bytes(), nil
}

// Zip returns a zip file.
func Zip(files []File, modified time.Time) ([]byte, error) {
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, file := range sorted(files) {
		header := &zip.FileHeader{Name: file.Name, Method: zip.Deflate, Modified: modified.UTC().Truncate(time.Second)}
		header.SetMode(file.Mode.Perm())
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return nil, fmt.Errorf("adding %s to an archive: %w", file.Name, err)
		}
		if _, err := entry.Write(file.Data); err != nil {
			return nil, fmt.Errorf("adding %s to an archive: %w", file.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("closing an archive: %w", err)
	}
	return buffer.Bytes(), nil
}

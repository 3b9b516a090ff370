// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

// File is one file of a layer.
type File struct {
	// Path is where it is in the image.
	Path string
	// Source is where its content comes from.
	Source string
	// Mode is its permissions.
	Mode int64
}

// FilesLayer makes a layer of files, which belong to root, and their folders.
func FilesLayer(files []File) (v1.Layer, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, dir := range foldersOf(files) {
		header := &tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("adding the folder %s to a layer: %w", dir, err)
		}
	}
	for _, file := range files {
		if err := addFile(archive, file); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("closing a layer: %w", err)
	}
	return static.NewLayer(buffer.Bytes(), types.DockerUncompressedLayer), nil
}

func addFile(archive *tar.Writer, file File) error {
	content, err := os.ReadFile(file.Source)
	if err != nil {
		return fmt.Errorf("reading what goes to %s: %w", file.Path, err)
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: inArchive(file.Path), Mode: file.Mode, Size: int64(len(content)), ModTime: epoch,
	}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("adding %s to a layer: %w", file.Path, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("adding %s to a layer: %w", file.Path, err)
	}
	return nil
}

// foldersOf lists the folders that the files are in, parents first.
func foldersOf(files []File) []string {
	var dirs []string
	for _, file := range files {
		for dir := path.Dir(inArchive(file.Path)); dir != "."; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func inArchive(file string) string { return strings.TrimPrefix(path.Clean("/"+file), "/") }

// ArchiveLayer makes a layer of a whole root file system in a tar file.
func ArchiveLayer(file string) (v1.Layer, error) {
	layer, err := tarball.LayerFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the root file system %s: %w", file, err)
	}
	return layer, nil
}

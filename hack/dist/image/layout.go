// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// RefName is the annotation of a manifest's tag in a layout.
const RefName = "org.opencontainers.image.ref.name"

// Create makes an empty layout.
func Create(dir string) (layout.Path, error) {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return "", fmt.Errorf("making the layout %s: %w", dir, err)
	}
	return path, nil
}

// Tagged adds an image or an index under a tag.
func Tagged(path layout.Path, tag string, item any) error {
	annotate := layout.WithAnnotations(map[string]string{RefName: tag})
	var err error
	switch item := item.(type) {
	case v1.ImageIndex:
		err = path.AppendIndex(item, annotate)
	case v1.Image:
		err = path.AppendImage(item, annotate)
	default:
		err = fmt.Errorf("cannot tag a %T", item)
	}
	if err != nil {
		return fmt.Errorf("adding %s to the layout %s: %w", tag, path, err)
	}
	return nil
}

// Find returns the manifest with a tag.
func Find(path layout.Path, tag string) (v1.Descriptor, error) {
	index, err := path.ImageIndex()
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("reading the layout %s: %w", path, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("reading the layout %s: %w", path, err)
	}
	for _, descriptor := range manifest.Manifests {
		if descriptor.Annotations[RefName] == tag {
			return descriptor, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("the layout %s has no %s", path, tag)
}

// Verify returns an error if a blob has another digest than its name, or if a manifest
// names a blob that does not exist.
func Verify(path layout.Path) error {
	if err := verifyBlobs(filepath.Join(string(path), "blobs", "sha256")); err != nil {
		return err
	}
	index, err := path.ImageIndex()
	if err != nil {
		return fmt.Errorf("reading the layout %s: %w", path, err)
	}
	return verifyIndex(path, index)
}

func verifyBlobs(dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		digest, err := FileDigest(name)
		if err != nil {
			return err
		}
		if digest != entry.Name() {
			return fmt.Errorf("%s has the digest %s", name, digest)
		}
		return nil
	})
}

func verifyIndex(path layout.Path, index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("reading an index of %s: %w", path, err)
	}
	for _, descriptor := range manifest.Manifests {
		if descriptor.MediaType == types.OCIImageIndex {
			inner, err := index.ImageIndex(descriptor.Digest)
			if err == nil {
				err = verifyIndex(path, inner)
			}
			if err != nil {
				return err
			}
			continue
		}
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", descriptor.Digest, path, err)
		}
		if err := verifyImage(path, image); err != nil {
			return err
		}
	}
	return nil
}

func verifyImage(path layout.Path, image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("reading a manifest of %s: %w", path, err)
	}
	var errs []error
	for _, descriptor := range append(manifest.Layers, manifest.Config) {
		blob, err := path.Blob(descriptor.Digest)
		if err != nil {
			errs = append(errs, fmt.Errorf("a blob of %s: %w", path, err))
			continue
		}
		_ = blob.Close()
	}
	return errors.Join(errs...)
}

// FileDigest returns the SHA-256 of a file.
func FileDigest(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("opening a file: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

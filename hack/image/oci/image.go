// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image makes an image for this machine's architecture out of one layer.
func Image(layer v1.Layer, config v1.Config) (v1.Image, error) {
	return ImageFor(runtime.GOARCH, epoch, layer, config)
}

// ImageFor makes an image of Linux for an architecture out of one layer.
func ImageFor(architecture string, created time.Time, layer v1.Layer, config v1.Config) (v1.Image, error) {
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("adding the layer to an image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of an image: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", architecture
	file.Created = v1.Time{Time: created}
	file.Config = config
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("setting the configuration of an image: %w", err)
	}
	return image, nil
}

// Write writes an image as a docker-style archive under its reference. A
// reader sees the old archive or the new one, never a part.
func Write(output, reference string, image v1.Image) error {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("parsing the reference of an image (want registry/repository:tag): %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("making the folder of an archive: %w", err)
	}
	partial, err := os.CreateTemp(filepath.Dir(output), ".partial-*")
	if err != nil {
		return fmt.Errorf("making an archive: %w", err)
	}
	defer os.Remove(partial.Name())
	defer partial.Close()
	if err := tarball.Write(tag, image, partial); err != nil {
		return fmt.Errorf("writing the archive %s: %w", output, err)
	}
	if err := partial.Chmod(0o644); err != nil {
		return fmt.Errorf("writing the archive %s: %w", output, err)
	}
	if err := os.Rename(partial.Name(), output); err != nil {
		return fmt.Errorf("writing the archive %s: %w", output, err)
	}
	return nil
}

// Label reads a label of the image in an archive, empty when there is none.
func Label(archive, label string) string {
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return ""
	}
	file, err := image.ConfigFile()
	if err != nil {
		return ""
	}
	return file.Config.Labels[label]
}

// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/taskgroup-operator/taskgroup-operator/hack/image/oci"
	"github.com/taskgroup-operator/taskgroup-operator/hack/image/recipe"
)

// Program is an image of one static program for Linux.
type Program struct {
	Name string
	// Files has the program by architecture.
	Files   map[string]string
	Created time.Time
	// Annotations belong to the index, and as labels to the images.
	Annotations map[string]string
}

// Index returns the image of all architectures.
func (p Program) Index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range slices.Sorted(maps.Keys(p.Files)) {
		image, err := p.image(architecture)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	annotated, ok := mutate.Annotations(index, p.Annotations).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("annotating the image of %s: want an index", p.Name)
	}
	return annotated, nil
}

func (p Program) image(architecture string) (v1.Image, error) {
	program := recipe.Binary{File: p.Name, User: recipe.Nonroot}
	layer, err := oci.FilesLayer([]oci.File{{Path: "/" + p.Name, Source: p.Files[architecture], Mode: 0o755}})
	if err != nil {
		return nil, err
	}
	layer, err = compress(layer)
	if err != nil {
		return nil, err
	}
	config := program.Config()
	config.Labels = p.Annotations
	image, err := oci.ImageFor(architecture, p.Created, layer, config)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON), nil
}

// compress returns the layer as it is in a registry.
func compress(layer v1.Layer) (v1.Layer, error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return nil, fmt.Errorf("reading a layer: %w", err)
	}
	defer content.Close()
	raw, err := io.ReadAll(content)
	if err != nil {
		return nil, fmt.Errorf("reading a layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	compressed, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression))
	if err != nil {
		return nil, fmt.Errorf("compressing a layer: %w", err)
	}
	return compressed, nil
}

// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Artifact is a manifest of one blob that is not a container image.
type Artifact struct {
	// Type is the artifact type. Without a configuration, it is the type of an empty one,
	// too: clients that maintain the list of referrers in a tag, for registries without
	// an API for it, read the type there.
	Type string
	// ConfigType and Config are the configuration; both are empty for none.
	ConfigType types.MediaType
	Config     []byte
	BlobType   types.MediaType
	Blob       []byte
	// Title is the name of the blob as a file.
	Title string
	// Subject is the manifest that the artifact refers to.
	Subject     *v1.Descriptor
	Annotations map[string]string
}

// Image returns the artifact as the libraries of registries take it.
func (a Artifact) Image() (v1.Image, error) {
	if a.ConfigType == "" {
		a.ConfigType, a.Config = types.MediaType(a.Type), []byte("{}")
	}
	built := &artifact{config: a.Config, blob: static.NewLayer(a.Blob, a.BlobType)}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: a.Type, Subject: a.Subject, Annotations: a.Annotations}
	var err error
	if manifest.Config, err = describe(static.NewLayer(a.Config, a.ConfigType)); err != nil {
		return nil, err
	}
	blob, err := describe(built.blob)
	if err != nil {
		return nil, err
	}
	if a.Title != "" {
		blob.Annotations = map[string]string{"org.opencontainers.image.title": a.Title}
	}
	manifest.Layers = []v1.Descriptor{blob}
	if built.manifest, err = json.Marshal(manifest); err != nil {
		return nil, fmt.Errorf("encoding a manifest: %w", err)
	}
	return partial.CompressedToImage(built)
}

func describe(layer v1.Layer) (v1.Descriptor, error) {
	descriptor, err := partial.Descriptor(layer)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("describing a blob: %w", err)
	}
	return *descriptor, nil
}

// artifact implements partial.CompressedImageCore.
type artifact struct {
	config, manifest []byte
	blob             v1.Layer
}

func (a *artifact) RawConfigFile() ([]byte, error)      { return a.config, nil }
func (a *artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a *artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// LayerByDigest returns the one blob.
func (a *artifact) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	if own, err := a.blob.Digest(); err != nil || own != digest {
		return nil, fmt.Errorf("no blob has the digest %s", digest)
	}
	return a.blob, nil
}

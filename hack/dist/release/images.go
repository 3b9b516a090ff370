// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/attest"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

// writeImages writes a layout for each image, with the bills of materials and the
// provenance as referrers.
func (b *builder) writeImages(context.Context) error {
	for _, name := range images {
		if err := b.writeImage(name); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) writeImage(name string) error {
	program := image.Program{Name: name, Files: map[string]string{}, Created: b.Created, Annotations: map[string]string{
		"org.opencontainers.image.title":    "taskgroup-operator " + name,
		"org.opencontainers.image.version":  b.Tag(),
		"org.opencontainers.image.revision": b.Commit,
		"org.opencontainers.image.created":  b.Created.UTC().Format(time.RFC3339),
		"org.opencontainers.image.source":   "https://" + module,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}}
	for _, target := range targets(b.Platforms) {
		if target.Program == name {
			program.Files[target.Arch] = b.program(target)
		}
	}
	index, err := program.Index()
	if err != nil {
		return err
	}
	path, err := image.Create(filepath.Join(b.out, sign.Layouts, name))
	if err != nil {
		return err
	}
	if err := image.Tagged(path, b.Tag(), index); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return fmt.Errorf("reading the digest of the image %s: %w", name, err)
	}
	b.images[name] = sign.Image{Repository: b.Registry + "/" + name, Tag: b.Tag(), Digest: digest.String()}
	return b.attach(path, name, index)
}

// attach adds the referrers of an image.
func (b *builder) attach(path layout.Path, name string, index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("reading the image %s: %w", name, err)
	}
	for _, descriptor := range manifest.Manifests {
		target := Target{name, descriptor.Platform.OS, descriptor.Platform.Architecture}
		if err := refer(path, descriptor, attest.SBOMType, target.Name()+".cdx.json", b.boms[target]); err != nil {
			return err
		}
	}
	descriptor, err := partial.Descriptor(index)
	if err != nil {
		return fmt.Errorf("reading the image %s: %w", name, err)
	}
	statement, err := attest.Provenance(b.build(), map[string]string{b.images[name].Repository: descriptor.Digest.Hex})
	if err != nil {
		return err
	}
	return refer(path, *descriptor, attest.ProvenanceType, "provenance.intoto.json", statement)
}

// refer adds an artifact about a manifest to a layout.
func refer(path layout.Path, subject v1.Descriptor, kind, title string, blob []byte) error {
	built, err := image.Artifact{
		Type: kind, BlobType: types.MediaType(kind), Blob: blob, Title: title,
		Subject: &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	}.Image()
	if err != nil {
		return err
	}
	if err := path.AppendImage(built); err != nil {
		return fmt.Errorf("adding %s to the layout %s: %w", title, path, err)
	}
	return nil
}

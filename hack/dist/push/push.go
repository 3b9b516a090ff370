// SPDX-License-Identifier: Apache-2.0

package push

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

// Release pushes all images of a release to the repositories that it was built for. The
// credentials come from "docker login". report is called before each image.
func Release(ctx context.Context, dir string, report func(reference string)) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	return sign.EachImage(dir, func(path layout.Path, of sign.Image, _ v1.Hash) error {
		report(of.Repository + ":" + of.Tag)
		return pushLayout(path, of.Repository, options)
	})
}

// pushLayout pushes the manifests of a layout in their order: the image precedes its
// referrers, and its signature.
func pushLayout(path layout.Path, to string, options []remote.Option) error {
	repository, err := name.NewRepository(to)
	if err != nil {
		return fmt.Errorf("parsing a repository: %w", err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		return fmt.Errorf("reading the layout %s: %w", path, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("reading the layout %s: %w", path, err)
	}
	for _, descriptor := range manifest.Manifests {
		var reference name.Reference = repository.Digest(descriptor.Digest.String())
		if tag := descriptor.Annotations[image.RefName]; tag != "" {
			reference = repository.Tag(tag)
		}
		if err := pushManifest(index, descriptor, reference, options); err != nil {
			return fmt.Errorf("pushing %s: %w", reference, err)
		}
	}
	return nil
}

func pushManifest(index v1.ImageIndex, descriptor v1.Descriptor, reference name.Reference, options []remote.Option) error {
	if descriptor.MediaType == types.OCIImageIndex {
		inner, err := index.ImageIndex(descriptor.Digest)
		if err != nil {
			return err
		}
		return remote.WriteIndex(reference, inner, options...)
	}
	single, err := index.Image(descriptor.Digest)
	if err != nil {
		return err
	}
	return remote.Write(reference, single, options...)
}

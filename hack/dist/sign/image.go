// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
)

// What cosign reads: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
const (
	payloadType         = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// signatureTag is the tag of the signature of a manifest.
func signatureTag(digest v1.Hash) string { return digest.Algorithm + "-" + digest.Hex + ".sig" }

// signImage adds the signature of a manifest to its layout, and replaces a previous one.
func signImage(signer signature.Signer, path layout.Path, repository string, digest v1.Hash) error {
	reference, err := name.NewDigest(repository + "@" + digest.String())
	if err != nil {
		return fmt.Errorf("signing an image: %w", err)
	}
	message, err := payload.Cosign{Image: reference}.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encoding what is signed: %w", err)
	}
	encoded, err := signBytes(signer, message)
	if err != nil {
		return err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	signed, err := mutate.Append(base, mutate.Addendum{Layer: static.NewLayer(message, payloadType), Annotations: map[string]string{signatureAnnotation: encoded}})
	if err != nil {
		return fmt.Errorf("making the image of a signature: %w", err)
	}
	tag := signatureTag(digest)
	hasTag := func(d v1.Descriptor) bool { return d.Annotations[image.RefName] == tag }
	if err := path.ReplaceImage(signed, hasTag, layout.WithAnnotations(map[string]string{image.RefName: tag})); err != nil {
		return fmt.Errorf("adding the signature to the layout %s: %w", path, err)
	}
	return nil
}

// verifyImage returns an error unless the layout has a signature of the manifest.
func verifyImage(verifier signature.Verifier, path layout.Path, repository string, digest v1.Hash) error {
	descriptor, err := image.Find(path, signatureTag(digest))
	if err != nil {
		return fmt.Errorf("%s is not signed: %w", repository, err)
	}
	signed, err := path.Image(descriptor.Digest)
	if err != nil {
		return fmt.Errorf("reading the signature of %s: %w", repository, err)
	}
	manifest, err := signed.Manifest()
	if err != nil || len(manifest.Layers) != 1 {
		return fmt.Errorf("reading the signature of %s: want one layer: %w", repository, errors.Join(err))
	}
	blob, err := path.Blob(manifest.Layers[0].Digest)
	if err != nil {
		return fmt.Errorf("reading the signature of %s: %w", repository, err)
	}
	defer blob.Close()
	message, err := io.ReadAll(blob)
	if err != nil {
		return fmt.Errorf("reading the signature of %s: %w", repository, err)
	}
	if err := verifyBytes(verifier, manifest.Layers[0].Annotations[signatureAnnotation], message); err != nil {
		return fmt.Errorf("the image %s: %w", repository, err)
	}
	var claim payload.SimpleContainerImage
	if err := json.Unmarshal(message, &claim); err != nil {
		return fmt.Errorf("decoding what is signed: %w", err)
	}
	critical := claim.Critical
	if critical.Type != payload.CosignSignatureType || critical.Image.DockerManifestDigest != digest.String() || !strings.HasSuffix(critical.Identity.DockerReference, repository) {
		return fmt.Errorf("the signature is for %s@%s, not for %s@%s", critical.Identity.DockerReference, critical.Image.DockerManifestDigest, repository, digest)
	}
	return nil
}

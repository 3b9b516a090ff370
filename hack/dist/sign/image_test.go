// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
)

type descriptor = v1.Descriptor

// resign changes the layout of the image of a signed release.
func resign(t *testing.T, dir string, change func(path layout.Path, digest string)) {
	t.Helper()
	path := layout.Path(filepath.Join(dir, Layouts, "runner"))
	found, err := image.Find(path, "v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	change(path, found.Digest.String())
}

// signWith signs an image with a new key.
func signWith(t *testing.T, path layout.Path, repository, digest string) {
	t.Helper()
	private, _ := keys(t)
	signer, err := loadSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := signImage(signer, path, repository, hash); err != nil {
		t.Fatal(err)
	}
}

// TestFormatsOfCosign verifies both signatures with the standard library only, as the
// specification of cosign describes them.
func TestFormatsOfCosign(t *testing.T) {
	private, public := keys(t)
	dir := unsigned(t)
	if err := Sign(dir, private); err != nil {
		t.Fatal(err)
	}
	verify := func(what, encoded string, message []byte) {
		t.Helper()
		raw, err := os.ReadFile(public)
		if err != nil {
			t.Fatal(err)
		}
		key, err := cryptoutils.UnmarshalPEMToPublicKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(message)
		if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], signature) {
			t.Errorf("the signature of %s is wrong", what)
		}
	}
	sums, err := os.ReadFile(filepath.Join(dir, Checksums))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := os.ReadFile(filepath.Join(dir, Signature))
	if err != nil {
		t.Fatal(err)
	}
	verify(Checksums, string(encoded), sums)
	resign(t, dir, func(path layout.Path, digest string) {
		signed, err := image.Find(path, strings.Replace(digest, ":", "-", 1)+".sig")
		if err != nil {
			t.Fatal(err)
		}
		built, err := path.Image(signed.Digest)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := built.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		blob, err := path.Blob(manifest.Layers[0].Digest)
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		message, err := io.ReadAll(blob)
		if err != nil {
			t.Fatal(err)
		}
		if manifest.Layers[0].MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" {
			t.Errorf("the payload has the type %s", manifest.Layers[0].MediaType)
		}
		verify("the image", manifest.Layers[0].Annotations["dev.cosignproject.cosign/signature"], message)
		want := `{"critical":{"identity":{"docker-reference":"registry.example.com/taskgroup/runner"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":null}`
		var compact bytes.Buffer
		if err := json.Compact(&compact, message); err != nil || compact.String() != want {
			t.Errorf("the payload is %s, %v", message, err)
		}
	})
}

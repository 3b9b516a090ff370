// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
)

// keys generates a key pair for one test.
func keys(t *testing.T) (private, public string) {
	t.Helper()
	dir := t.TempDir()
	private, public = filepath.Join(dir, "key"), filepath.Join(dir, "key.pub")
	if err := GenerateKey(private, public); err != nil {
		t.Fatal(err)
	}
	return private, public
}

// unsigned makes a small release: one file and one image.
func unsigned(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path, err := image.Create(filepath.Join(dir, Layouts, "runner"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(100, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Tagged(path, "v0.2.0", index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	images, err := json.Marshal(map[string]Image{"runner": {Repository: "registry.example.com/taskgroup/runner", Tag: "v0.2.0", Digest: digest.String()}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, string(images), dir, Images)
	write(t, "kind: Namespace\n", dir, "install.yaml")
	if err := WriteChecksums(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, data string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSignAndVerify(t *testing.T) {
	for _, secret := range []string{"", "a password"} {
		t.Run("password "+secret, func(t *testing.T) {
			t.Setenv(PasswordVariable, secret)
			private, public := keys(t)
			dir := unsigned(t)
			if err := Verify(dir, public); err == nil || !strings.Contains(err.Error(), "not signed") {
				t.Errorf("an unsigned release: %v", err)
			}
			// The second signature replaces the first.
			for range 2 {
				if err := Sign(dir, private); err != nil {
					t.Fatal(err)
				}
				if err := Verify(dir, public); err != nil {
					t.Fatal(err)
				}
			}
			index, err := layout.Path(filepath.Join(dir, Layouts, "runner")).ImageIndex()
			if err != nil {
				t.Fatal(err)
			}
			if manifest, err := index.IndexManifest(); err != nil || len(manifest.Manifests) != 2 {
				t.Errorf("the layout has %v, %v, want the image and its signature", manifest, err)
			}
			raw, err := os.ReadFile(private)
			if err != nil || strings.Contains(string(raw), "ENCRYPTED") != (secret != "") {
				t.Errorf("the private key is\n%s%v", raw, err)
			}
		})
	}
}

// TestVerifyFindsChanges changes a signed release in each way that matters.
func TestVerifyFindsChanges(t *testing.T) {
	runner := func(dir string) layout.Path { return layout.Path(filepath.Join(dir, Layouts, "runner")) }
	tests := map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"a changed file": {func(t *testing.T, dir string) { write(t, "kind: Secret\n", dir, "install.yaml") }, "install.yaml has the SHA-256"},
		"a further file": {func(t *testing.T, dir string) { write(t, "", dir, "extra") }, "extra has the SHA-256"},
		"a missing file": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "install.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "install.yaml is missing"},
		"a changed file with its checksum": {func(t *testing.T, dir string) {
			write(t, "kind: Secret\n", dir, "install.yaml")
			if err := WriteChecksums(dir); err != nil {
				t.Fatal(err)
			}
		}, "the signature is wrong"},
		"a changed blob": {func(t *testing.T, dir string) {
			blobs, err := filepath.Glob(filepath.Join(string(runner(dir)), "blobs/sha256/*"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, "changed", blobs[0])
		}, "has the digest"},
		"another image": {func(t *testing.T, dir string) {
			other, err := random.Index(100, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(string(runner(dir))); err != nil {
				t.Fatal(err)
			}
			path, err := image.Create(string(runner(dir)))
			if err != nil {
				t.Fatal(err)
			}
			if err := image.Tagged(path, "v0.2.0", other); err != nil {
				t.Fatal(err)
			}
		}, "want sha256:"},
		"an image whose signature was removed": {func(t *testing.T, dir string) {
			resign(t, dir, func(path layout.Path, digest string) {
				if err := path.RemoveDescriptors(func(d descriptor) bool { return strings.HasSuffix(d.Annotations[image.RefName], ".sig") }); err != nil {
					t.Fatal(err)
				}
			})
		}, "is not signed"},
		"an image that another key has signed": {func(t *testing.T, dir string) {
			resign(t, dir, func(path layout.Path, digest string) {
				signWith(t, path, "registry.example.com/taskgroup/runner", digest)
			})
		}, "the signature is wrong"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			private, public := keys(t)
			dir := unsigned(t)
			if err := Sign(dir, private); err != nil {
				t.Fatal(err)
			}
			test.change(t, dir)
			if err := Verify(dir, public); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestSignatureIsOfTheImage requires that a signature of another repository is refused,
// although it is of the same key and digest.
func TestSignatureIsOfTheImage(t *testing.T) {
	private, public := keys(t)
	dir := unsigned(t)
	if err := Sign(dir, private); err != nil {
		t.Fatal(err)
	}
	verifier, err := loadVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	path := layout.Path(filepath.Join(dir, Layouts, "runner"))
	signed, err := image.Find(path, "v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyImage(verifier, path, "registry.example.com/taskgroup/manager", signed.Digest); err == nil || !strings.Contains(err.Error(), "the signature is for") {
		t.Errorf("got %v", err)
	}
}

func TestVerifyWithoutKeyIgnoresSignatures(t *testing.T) {
	dir := unsigned(t)
	if err := Verify(dir, ""); err != nil {
		t.Error(err)
	}
	write(t, "kind: Secret\n", dir, "install.yaml")
	if err := Verify(dir, ""); err == nil {
		t.Error("a changed file is not found")
	}
}

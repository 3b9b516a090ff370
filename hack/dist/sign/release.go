// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
)

// Names of files of a release.
const (
	// Checksums has the SHA-256 of each file of the release, as sha256sum reads it.
	Checksums = "SHA256SUMS"
	// Signature is the signature of Checksums.
	Signature = Checksums + ".sig"
	// Images has the repository, the tag and the digest of each image, by its layout.
	Images = "images.json"
	// Layouts is the folder of the layouts. Their digests are in Images.
	Layouts = "oci"
)

// Image is an image of a release.
type Image struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
}

// WriteChecksums writes the checksums of all files of a release.
func WriteChecksums(dir string) error {
	names, err := files(dir)
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, name := range names {
		digest, err := image.FileDigest(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s  %s\n", digest, name)
	}
	if err := os.WriteFile(filepath.Join(dir, Checksums), []byte(out.String()), 0o644); err != nil {
		return fmt.Errorf("writing the checksums: %w", err)
	}
	return nil
}

// files lists the files that have a checksum.
func files(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case name == Layouts:
			return fs.SkipDir
		case entry.IsDir() || name == Checksums || name == Signature:
			return nil
		}
		names = append(names, filepath.ToSlash(name))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the release: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// Sign signs the checksums and the images of a release.
func Sign(dir, keyFile string) error {
	signer, err := loadSigner(keyFile)
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(dir, Checksums))
	if err != nil {
		return fmt.Errorf("reading the checksums: %w", err)
	}
	encoded, err := signBytes(signer, sums)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, Signature), []byte(encoded+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing the signature: %w", err)
	}
	return EachImage(dir, func(path layout.Path, of Image, digest v1.Hash) error {
		return signImage(signer, path, of.Repository, digest)
	})
}

// EachImage calls visit for each image of a release.
func EachImage(dir string, visit func(layout.Path, Image, v1.Hash) error) error {
	raw, err := os.ReadFile(filepath.Join(dir, Images))
	if err != nil {
		return fmt.Errorf("reading the images: %w", err)
	}
	var images map[string]Image
	if err := json.Unmarshal(raw, &images); err != nil {
		return fmt.Errorf("decoding %s: %w", Images, err)
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		digest, err := v1.NewHash(images[name].Digest)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", Images, err)
		}
		if err := visit(layout.Path(filepath.Join(dir, Layouts, name)), images[name], digest); err != nil {
			return err
		}
	}
	return nil
}

// Verify returns an error unless all files and images of a release have their digests,
// and, with a key, a signature.
func Verify(dir, keyFile string) error {
	var verifier signature.Verifier
	sums, err := os.ReadFile(filepath.Join(dir, Checksums))
	if err != nil {
		return fmt.Errorf("reading the checksums: %w", err)
	}
	if keyFile != "" {
		if verifier, err = loadVerifier(keyFile); err != nil {
			return err
		}
		encoded, err := os.ReadFile(filepath.Join(dir, Signature))
		if err != nil {
			return fmt.Errorf("the checksums are not signed: %w", err)
		}
		if err := verifyBytes(verifier, string(encoded), sums); err != nil {
			return fmt.Errorf("%s: %w", Checksums, err)
		}
	}
	if err := verifyFiles(dir, string(sums)); err != nil {
		return err
	}
	return EachImage(dir, func(path layout.Path, of Image, digest v1.Hash) error {
		if err := image.Verify(path); err != nil {
			return err
		}
		if found, err := image.Find(path, of.Tag); err != nil || found.Digest != digest {
			return fmt.Errorf("the layout %s has %s, want %s: %w", path, found.Digest, digest, errors.Join(err))
		}
		if verifier == nil {
			return nil
		}
		return verifyImage(verifier, path, of.Repository, digest)
	})
}

// verifyFiles compares the checksums with the files, of which none may be missing and
// none may be added.
func verifyFiles(dir, sums string) error {
	names, err := files(dir)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for line := range strings.Lines(sums) {
		digest, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !found {
			return fmt.Errorf("%s has the line %q", Checksums, line)
		}
		want[name] = digest
	}
	var errs []error
	for _, name := range names {
		digest, err := image.FileDigest(filepath.Join(dir, name))
		if err == nil && digest != want[name] {
			err = fmt.Errorf("%s has the SHA-256 %s, want %q", name, digest, want[name])
		}
		errs = append(errs, err)
		delete(want, name)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		errs = append(errs, fmt.Errorf("%s is missing", name))
	}
	return errors.Join(errs...)
}

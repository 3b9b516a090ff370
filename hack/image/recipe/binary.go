// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/taskgroup-operator/taskgroup-operator/hack/image/oci"
)

// Nonroot is the user that images run as; it has no account on a machine.
const Nonroot = "65532:65532"

// caCertificates is where Go and most other programs look for certificate authorities.
const caCertificates = "/etc/ssl/certs/ca-certificates.crt"

// Binary is an image of one static program.
type Binary struct {
	Reference string
	// File is the program; its name becomes /<name> and the entrypoint.
	File string
	// User is "uid:gid".
	User string
	// CACertificates is a bundle to include, empty for none.
	CACertificates string
}

// Config is the configuration of the image.
func (b Binary) Config() v1.Config {
	return v1.Config{
		Entrypoint: []string{"/" + filepath.Base(b.File)},
		User:       b.User,
		Env:        []string{"PATH=/"},
		WorkingDir: "/",
	}
}

// Write writes the image's archive.
func (b Binary) Write(output string) error {
	program := "/" + filepath.Base(b.File)
	files := []oci.File{{Path: program, Source: b.File, Mode: 0o755}}
	if b.CACertificates != "" {
		files = append(files, oci.File{Path: caCertificates, Source: b.CACertificates, Mode: 0o644})
	}
	layer, err := oci.FilesLayer(files)
	if err != nil {
		return err
	}
	image, err := oci.Image(layer, b.Config())
	if err != nil {
		return err
	}
	return oci.Write(output, b.Reference, image)
}

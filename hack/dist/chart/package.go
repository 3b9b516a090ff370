// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/archive"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
)

// Name is the name of the chart, and of its folder.
const Name = "taskgroup-operator"

// What helm pull expects: https://helm.sh/docs/topics/registries/#oci-feature-deprecation-and-behavior-changes
const (
	configType  = types.MediaType("application/vnd.cncf.helm.config.v1+json")
	contentType = types.MediaType("application/vnd.cncf.helm.chart.content.v1.tar+gzip")
)

// Release is what a release sets in the chart.
type Release struct {
	// Version is the version of the chart, such as 0.2.0; AppVersion is the tag of the images.
	Version, AppVersion string
	// Registry is the prefix of the images.
	Registry string
	// Digests has the digest of each image by name.
	Digests map[string]string
	// Created is the time of all files.
	Created time.Time
}

// Package returns the chart in a folder as "helm package" makes it, but reproducibly.
func Package(dir string, release Release) ([]byte, error) {
	var files []archive.File
	folder := os.DirFS(dir)
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		if data, err = release.edit(name, data); err != nil {
			return err
		}
		files = append(files, archive.File{Name: path.Join(Name, name), Mode: 0o644, Data: data})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("packaging the chart: %w", err)
	}
	return archive.TarGz(files, release.Created)
}

// edit sets versions and images. It edits the text, because the comments of the values
// are their documentation.
func (r Release) edit(name string, data []byte) ([]byte, error) {
	edits := map[string]string{}
	switch name {
	case "Chart.yaml":
		edits["\nversion: 0.0.0-dev\n"] = "\nversion: " + r.Version + "\n"
		edits["\nappVersion: dev\n"] = "\nappVersion: " + r.AppVersion + "\n"
	case "values.yaml":
		edits["registry: localhost/taskgroup-operator\n"] = "registry: " + r.Registry + "\n"
		for image, digest := range r.Digests {
			edits["  "+image+`: {repository: "", tag: "", digest: ""}`] = "  " + image + `: {repository: "", tag: "", digest: "` + digest + `"}`
		}
	}
	text := string(data)
	var errs []error
	for before, after := range edits {
		if strings.Count(text, before) != 1 {
			errs = append(errs, fmt.Errorf("%s has not one line %q", name, strings.TrimSpace(before)))
		}
		text = strings.Replace(text, before, after, 1)
	}
	return []byte(text), errors.Join(errs...)
}

// Artifact returns a package as "helm push" stores it in a registry.
func (r Release) Artifact(dir string, packaged []byte) (v1.Image, error) {
	metadata, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the chart: %w", err)
	}
	if metadata, err = r.edit("Chart.yaml", metadata); err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := yaml.Unmarshal(metadata, &fields); err != nil {
		return nil, fmt.Errorf("decoding the chart: %w", err)
	}
	config, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encoding the chart: %w", err)
	}
	return image.Artifact{
		ConfigType: configType, Config: config, BlobType: contentType, Blob: packaged,
		Annotations: map[string]string{
			"org.opencontainers.image.title": Name, "org.opencontainers.image.version": r.Version,
			"org.opencontainers.image.created": r.Created.UTC().Format(time.RFC3339),
		},
	}.Image()
}

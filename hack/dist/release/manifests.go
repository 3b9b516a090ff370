// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/chart"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

// chartLayout is the name of the chart's layout.
const chartLayout = "chart"

// writeChart writes the chart as a file and as a layout.
func (b *builder) writeChart(context.Context) error {
	release := chart.Release{Version: b.Version, AppVersion: b.Tag(), Registry: b.Registry, Digests: map[string]string{}, Created: b.Created}
	for name, built := range b.images {
		release.Digests[name] = built.Digest
	}
	dir := filepath.Join(b.Root, "charts", chart.Name)
	packaged, err := chart.Package(dir, release)
	if err != nil {
		return err
	}
	if err := b.write(fmt.Sprintf("%s-%s.tgz", chart.Name, b.Version), packaged); err != nil {
		return err
	}
	artifact, err := release.Artifact(dir, packaged)
	if err != nil {
		return err
	}
	path, err := image.Create(filepath.Join(b.out, sign.Layouts, chartLayout))
	if err != nil {
		return err
	}
	if err := image.Tagged(path, b.Version, artifact); err != nil {
		return err
	}
	digest, err := artifact.Digest()
	if err != nil {
		return fmt.Errorf("reading the digest of the chart: %w", err)
	}
	b.images[chartLayout] = sign.Image{Repository: b.Registry + "/charts/" + chart.Name, Tag: b.Version, Digest: digest.String()}
	return nil
}

// developmentImage is the reference of an image in config.
func developmentImage(name string) string { return "localhost/taskgroup-operator/" + name + ":dev" }

// writeManifest writes config/default with the images of the release.
func (b *builder) writeManifest(context.Context) error {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(b.Root, "config", "default"))
	if err != nil {
		return fmt.Errorf("building config/default: %w", err)
	}
	raw, err := built.AsYaml()
	if err != nil {
		return fmt.Errorf("building config/default: %w", err)
	}
	text := string(raw)
	var errs []error
	for _, name := range append([]string{"python"}, images...) {
		reference := fmt.Sprintf("%s/%s:%s", b.Registry, name, b.Tag())
		if built, ok := b.images[name]; ok {
			reference += "@" + built.Digest
		}
		if !strings.Contains(text, developmentImage(name)) {
			errs = append(errs, fmt.Errorf("config/default has no image %s", developmentImage(name)))
		}
		text = strings.ReplaceAll(text, developmentImage(name), reference)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return b.write("install.yaml", []byte(text))
}

// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var release = Release{
	Version: "0.2.0", AppVersion: "v0.2.0", Registry: "registry.example.com/taskgroup",
	Digests: map[string]string{"manager": digest, "runner": digest, "gateway": digest}, Created: time.Unix(1700000000, 0),
}

// TestPackage loads the package with Helm, and renders it.
func TestPackage(t *testing.T) {
	packaged, err := Package(directory, release)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := loader.LoadArchive(bytes.NewReader(packaged))
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Metadata.Version != "0.2.0" || loaded.Metadata.AppVersion != "v0.2.0" || loaded.Validate() != nil {
		t.Errorf("the package has %+v, %v", loaded.Metadata, loaded.Validate())
	}
	all, err := chartutil.ToRenderValues(loaded, nil, common.ReleaseOptions{Name: "a", Namespace: namespace}, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Engine{Strict: true}.RenderWithContext(t.Context(), loaded, all)
	if err != nil {
		t.Fatal(err)
	}
	text := rendered["taskgroup-operator/templates/operator-deployment.yaml"] + rendered["taskgroup-operator/templates/gateway.yaml"]
	for _, name := range []string{"manager", "runner", "gateway"} {
		if want := "registry.example.com/taskgroup/" + name + ":v0.2.0@" + digest; !strings.Contains(text, want) {
			t.Errorf("no image %s", want)
		}
	}
}

func TestPackageTwice(t *testing.T) {
	first, err := Package(directory, release)
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	second, err := Package(copied, release)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the packages of two folders differ")
	}
}

// TestPackageNeedsTheLines requires an error if the sources do not have what is edited:
// else a release would have the images of the sources.
func TestPackageNeedsTheLines(t *testing.T) {
	other := release
	other.Digests = map[string]string{"unknown": digest}
	if _, err := Package(directory, other); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("got %v", err)
	}
}

func TestArtifact(t *testing.T) {
	image, err := release.Artifact(directory, []byte("package"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Config.MediaType != configType || len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != contentType {
		t.Errorf("the manifest is %+v", manifest)
	}
	raw, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct{ Name, Version string }
	if err := json.Unmarshal(raw, &metadata); err != nil || metadata.Name != Name || metadata.Version != "0.2.0" {
		t.Errorf("the configuration is %s, %v", raw, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigIsValid applies everything in config, without storing it.
func TestConfigIsValid(t *testing.T) {
	for _, folder := range []string{"config/default", "config/minimal", "config/network-policy"} {
		if _, err := cluster.Run(t.Context(), "apply", "--dry-run=server", "--server-side", "--force-conflicts", "-k", filepath.Join(cluster.Root, folder)); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
	}
}

// TestBucketComponent renders config/default with the component of the bucket, and applies it
// without storing it.
func TestBucketComponent(t *testing.T) {
	overlay := t.TempDir()
	relative, err := filepath.Rel(overlay, filepath.Join(cluster.Root, "config"))
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [" + relative + "/default]\ncomponents: [" + relative + "/gateway-bucket]\n"
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := cluster.Run(t.Context(), "kustomize", overlay)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"\nkind: PersistentVolumeClaim\n": false, "claimName: taskgroup-gateway": false, "--quota": false,
		"- --bucket=$(TASKGROUP_BUCKET)\n": true, "name: taskgroup-gateway-bucket\n": true,
	} {
		if strings.Contains(out, text) != want {
			t.Errorf("the manifests contain %q: %t", text, !want)
		}
	}
	if _, err := cluster.Run(t.Context(), "apply", "--dry-run=server", "--server-side", "--force-conflicts", "-k", overlay); err != nil {
		t.Error(err)
	}
}

// TestImagesAreReplacedByName renders an overlay as config/default describes it.
func TestImagesAreReplacedByName(t *testing.T) {
	overlay := t.TempDir()
	base := filepath.Join(cluster.Root, "config/default")
	relative, err := filepath.Rel(overlay, base)
	if err != nil {
		t.Fatal(err)
	}
	fieldSpecs, err := os.ReadFile(filepath.Join(base, "images.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"images.yaml": string(fieldSpecs),
		"kustomization.yaml": `resources: [` + relative + `]
configurations: [images.yaml]
images:
- {name: localhost/taskgroup-operator/manager, newName: my/manager, newTag: v1}
- {name: localhost/taskgroup-operator/runner, newName: my/runner, newTag: v2}
- {name: localhost/taskgroup-operator/python, newName: my/python, newTag: v3}
- {name: localhost/taskgroup-operator/gateway, newName: my/gateway, newTag: v4}
`,
	} {
		if err := os.WriteFile(filepath.Join(overlay, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cluster.Run(t.Context(), "kustomize", overlay)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"image: my/manager:v1\n", "value: my/runner:v2\n", "value: my/python:v3\n", "image: my/gateway:v4\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the overlay does not contain %q", want)
		}
	}
	if strings.Contains(out, "localhost/") {
		t.Error("the overlay contains an image that was to be replaced")
	}
}

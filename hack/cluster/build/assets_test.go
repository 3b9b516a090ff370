// SPDX-License-Identifier: Apache-2.0

package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// assets returns a folder with an API server of a version.
func assets(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"kube-apiserver": "echo Kubernetes " + version, "etcd": "true"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestAssets: programs of the folder are linked, and what it does not have is built for the
// version of its API server.
func TestAssets(t *testing.T) {
	dir := assets(t, "v1.35.1")
	t.Setenv(AssetsVariable, dir)
	t.Setenv(VersionVariable, "")
	if version, err := KubernetesVersion(modules); version != "v1.35.1" || err != nil {
		t.Errorf("version %s, %v", version, err)
	}
	targets, err := Targets(modules, true)
	if err != nil {
		t.Fatal(err)
	}
	b := Builder{Dir: t.TempDir()}
	linked := map[string]bool{}
	for _, target := range targets {
		if linked[target.Name], err = b.useAsset(target); err != nil {
			t.Fatal(err)
		}
		if target.Name == "kube-controller-manager" && !strings.HasSuffix(target.ModuleDir, "kubernetes-1.35") {
			t.Errorf("the controller manager is built in %s", target.ModuleDir)
		}
	}
	if !linked["kube-apiserver"] || !linked["etcd"] || linked["kube-controller-manager"] {
		t.Errorf("linked %v", linked)
	}
	if program, err := os.Readlink(filepath.Join(b.Bin(), "etcd")); program != filepath.Join(dir, "etcd") || err != nil {
		t.Errorf("etcd is %s, %v", program, err)
	}
	// Another folder replaces the links.
	t.Setenv(AssetsVariable, assets(t, "v1.35.2"))
	if _, err := b.useAsset(Target{Name: "etcd"}); err != nil {
		t.Fatal(err)
	}
	if program, err := os.Readlink(filepath.Join(b.Bin(), "etcd")); program == filepath.Join(dir, "etcd") || err != nil {
		t.Errorf("etcd is %s, %v", program, err)
	}
}

func TestAssetsThatCannotBeUsed(t *testing.T) {
	for name, tc := range map[string]struct{ assets, version, want string }{
		"an empty folder":     {t.TempDir(), "", "running the kube-apiserver there"},
		"no version":          {assets(t, "one"), "", "its version is"},
		"two versions":        {assets(t, "v1.36.0"), "1.34", "unset one of them"},
		"an unknown release":  {assets(t, "v1.99.0"), "", "the releases of Kubernetes are"},
		"an unknown release ": {"", "1.99", "the releases of Kubernetes are"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(AssetsVariable, tc.assets)
			t.Setenv(VersionVariable, tc.version)
			if _, err := Targets(modules, true); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

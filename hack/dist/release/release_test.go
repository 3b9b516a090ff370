// SPDX-License-Identifier: Apache-2.0

package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/attest"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

const root = "../../.."

// hello compiles a small program once: only its content matters here, and that Go has
// linked it.
var hello = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "taskgroup-dist-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\"hello\") }\n"), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "hello"), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(string(out))
	}
	return os.ReadFile(filepath.Join(dir, "hello"))
})

func buildHello(_ context.Context, target Target, output string) error {
	program, err := hello()
	if err != nil {
		return err
	}
	// The programs differ, as those of platforms do.
	return os.WriteFile(output, append(program, target.Name()...), 0o755)
}

const wheel = "covalent_taskgroup_plugin-0.2.0-py3-none-any.whl"

func writeWheel(_ context.Context, output string) error {
	return os.WriteFile(filepath.Join(output, wheel), []byte("a wheel"), 0o644)
}

func options(output string) Options {
	return Options{
		Root: root, Output: output, Version: "0.2.0", Registry: "registry.example.com/taskgroup", DownloadURL: "https://example.com/v0.2.0/",
		Commit: "0123456789abcdef0123456789abcdef01234567", Created: time.Unix(1700000000, 0).UTC(),
		Build: buildHello, Wheels: writeWheel, Report: func(string) {},
	}
}

// built is a release that all tests read.
var built string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "taskgroup-dist-test-")
	if err == nil {
		defer os.RemoveAll(scratch)
		built = filepath.Join(scratch, "release")
		err = Run(context.Background(), options(built))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestReleaseIsComplete(t *testing.T) {
	dir := built
	var got []string
	for line := range strings.Lines(string(read(t, dir, sign.Checksums))) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		got = append(got, name)
	}
	want := []string{
		wheel, "images.json", "install.yaml", "krew/taskgroup.yaml", "provenance.intoto.json",
		"sbom/gateway_linux_amd64.cdx.json", "sbom/gateway_linux_arm64.cdx.json", "sbom/manager_linux_amd64.cdx.json",
		"sbom/manager_linux_arm64.cdx.json", "sbom/runner_linux_amd64.cdx.json", "sbom/runner_linux_arm64.cdx.json",
		"sbom/taskgroup_darwin_amd64.cdx.json", "sbom/taskgroup_darwin_arm64.cdx.json", "sbom/taskgroup_linux_amd64.cdx.json",
		"sbom/taskgroup_linux_arm64.cdx.json", "sbom/taskgroup_windows_amd64.cdx.json", "sbom/taskgroup_windows_arm64.cdx.json",
		"taskgroup-kubernetes-v1alpha1.json", "taskgroup-operator-0.2.0.tgz",
		"taskgroup_darwin_amd64.tar.gz", "taskgroup_darwin_arm64.tar.gz", "taskgroup_linux_amd64.tar.gz", "taskgroup_linux_arm64.tar.gz",
		"taskgroup_windows_amd64.zip", "taskgroup_windows_arm64.zip",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := sign.Verify(dir, ""); err != nil {
		t.Error(err)
	}
}

// TestTwoBuildsAreIdentical builds copies of what is read in two folders, of which the
// files have other times.
func TestTwoBuildsAreIdentical(t *testing.T) {
	first, second := built, filepath.Join(t.TempDir(), "other")
	sources := t.TempDir()
	for _, dir := range []string{"charts", "config"} {
		if err := os.CopyFS(filepath.Join(sources, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(sources, "LICENSE"), read(t, root, "LICENSE"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := options(second)
	other.Root = sources
	if err := Run(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := Compare(first, second); err != nil {
		t.Error(err)
	}
	other.Created = other.Created.Add(time.Hour)
	if err := Run(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := Compare(first, second); err == nil || !strings.Contains(err.Error(), "taskgroup_linux_amd64.tar.gz differs") {
		t.Errorf("got %v, want that the archives of another commit differ", err)
	}
}

// TestManifestsUseTheDigests requires that manifest, list and layouts have the same images.
func TestManifestsUseTheDigests(t *testing.T) {
	dir := built
	var listed map[string]sign.Image
	if err := json.Unmarshal(read(t, dir, sign.Images), &listed); err != nil {
		t.Fatal(err)
	}
	manifest := string(read(t, dir, "install.yaml"))
	for _, name := range images {
		of := listed[name]
		descriptor, err := image.Find(layout.Path(filepath.Join(dir, sign.Layouts, name)), "v0.2.0")
		if err != nil {
			t.Fatal(err)
		}
		if descriptor.Digest.String() != of.Digest {
			t.Errorf("the layout of %s has %s, the list %s", name, descriptor.Digest, of.Digest)
		}
		if want := "registry.example.com/taskgroup/" + name + ":v0.2.0@" + of.Digest; !strings.Contains(manifest, want) {
			t.Errorf("install.yaml has no %s", want)
		}
	}
	if strings.Contains(manifest, "localhost/") || !strings.Contains(manifest, "registry.example.com/taskgroup/python:v0.2.0\n") {
		t.Error("install.yaml has images of the sources")
	}
}

// TestImages requires both architectures, the program with its mode, and the referrers.
func TestImages(t *testing.T) {
	path := layout.Path(filepath.Join(built, sign.Layouts, "manager"))
	root, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := image.Find(path, "v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(descriptor.Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	subjects := map[v1.Hash]string{descriptor.Digest: attest.ProvenanceType}
	var platforms []string
	for _, each := range manifest.Manifests {
		platforms = append(platforms, each.Platform.String())
		subjects[each.Digest] = attest.SBOMType
		built, err := index.Image(each.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := built.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != each.Platform.Architecture || !config.Created.Equal(time.Unix(1700000000, 0)) || config.Config.User != "65532:65532" {
			t.Errorf("the configuration is %+v", config)
		}
		if diff := cmp.Diff([]string{"/manager"}, config.Config.Entrypoint); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Error(diff)
	}
	compareReferrers(t, root, subjects)
}

func compareReferrers(t *testing.T, root v1.ImageIndex, want map[v1.Hash]string) {
	t.Helper()
	manifest, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	got := map[v1.Hash]string{}
	for _, each := range manifest.Manifests {
		built, err := root.Image(each.Digest)
		if err != nil {
			continue
		}
		referrer, err := built.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if each.ArtifactType != referrer.ArtifactType {
			t.Errorf("the index has the type %s, the manifest %s", each.ArtifactType, referrer.ArtifactType)
		}
		got[referrer.Subject.Digest] = referrer.ArtifactType
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
}

func TestArchive(t *testing.T) {
	uncompressed, err := gzip.NewReader(bytes.NewReader(read(t, built, "taskgroup_linux_arm64.tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	program, err := hello()
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for reader := tar.NewReader(uncompressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
		content, err := io.ReadAll(reader)
		if header.Name == client && (err != nil || !bytes.Equal(content, append(program, "taskgroup_linux_arm64"...))) {
			t.Errorf("the archive has another program, %v", err)
		}
	}
	if diff := cmp.Diff(map[string]int64{client: 0o755, "LICENSE": 0o644}, modes); diff != "" {
		t.Error(diff)
	}
}

// TestKrew requires the checksums and the names of the archives.
func TestKrew(t *testing.T) {
	dir := built
	var plugin struct {
		Metadata struct{ Name string }
		Spec     struct {
			Version   string
			Platforms []struct {
				Selector         struct{ MatchLabels struct{ OS, Arch string } }
				URI, SHA256, Bin string
			}
		}
	}
	if err := yaml.Unmarshal(read(t, dir, "krew/taskgroup.yaml"), &plugin); err != nil {
		t.Fatal(err)
	}
	if plugin.Metadata.Name != "taskgroup" || plugin.Spec.Version != "v0.2.0" || len(plugin.Spec.Platforms) != 6 {
		t.Errorf("the manifest is %+v", plugin)
	}
	for _, platform := range plugin.Spec.Platforms {
		name, found := strings.CutPrefix(platform.URI, "https://example.com/v0.2.0/")
		digest, err := image.FileDigest(filepath.Join(dir, name))
		if !found || err != nil || digest != platform.SHA256 {
			t.Errorf("%s has the digest %s, the manifest %s, %v", platform.URI, digest, platform.SHA256, err)
		}
		labels := platform.Selector.MatchLabels
		if target := (Target{client, labels.OS, labels.Arch}); !strings.HasPrefix(name, target.Name()+".") || platform.Bin != target.File() {
			t.Errorf("%s is for %+v, with %s", name, labels, platform.Bin)
		}
	}
}

func TestProvenance(t *testing.T) {
	dir := built
	var statement struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct {
			Name   string
			Digest map[string]string
		}
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct{ Digest map[string]string }
			}
		}
	}
	if err := json.Unmarshal(read(t, dir, "provenance.intoto.json"), &statement); err != nil {
		t.Fatal(err)
	}
	if statement.Type != "https://in-toto.io/Statement/v1" || statement.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("the statement has the types %s, %s", statement.Type, statement.PredicateType)
	}
	if got := statement.Predicate.BuildDefinition.ResolvedDependencies[0].Digest["gitCommit"]; got != options("").Commit {
		t.Errorf("the commit is %s", got)
	}
	for _, subject := range statement.Subject {
		digest, err := image.FileDigest(filepath.Join(dir, subject.Name))
		if err != nil || digest != subject.Digest["sha256"] {
			t.Errorf("%s has the digest %s, the provenance %s, %v", subject.Name, digest, subject.Digest, err)
		}
	}
	if len(statement.Subject) != 24 {
		t.Errorf("the provenance has %d subjects", len(statement.Subject))
	}
}

// TestOutputIsReplacedAsAWhole requires that a failure keeps the previous release, and
// that no other folder is replaced.
func TestOutputIsReplacedAsAWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "release")
	if err := os.CopyFS(dir, os.DirFS(built)); err != nil {
		t.Fatal(err)
	}
	failing := options(dir)
	failing.Wheels = func(context.Context, string) error { return errors.New("no wheels") }
	if err := Run(t.Context(), failing); err == nil || err.Error() != "no wheels" {
		t.Errorf("got %v", err)
	}
	if err := sign.Verify(dir, ""); err != nil {
		t.Errorf("the previous release: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
		t.Errorf("a failed build left %v, %v", entries, err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), options(foreign)); err == nil || !strings.Contains(err.Error(), "is not a release") {
		t.Errorf("got %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package push

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

var quiet = registry.Logger(log.New(io.Discard, "", 0))

// signed makes a signed release of an image with a referrer.
func signed(t *testing.T, repository string) (dir string, digest v1.Hash) {
	t.Helper()
	dir = t.TempDir()
	path, err := image.Create(filepath.Join(dir, sign.Layouts, "runner"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := image.Program{Name: "runner", Files: map[string]string{"amd64": "push.go", "arm64": "doc.go"}}.Index()
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Tagged(path, "v0.2.0", index); err != nil {
		t.Fatal(err)
	}
	subject, err := partial.Descriptor(index)
	if err != nil {
		t.Fatal(err)
	}
	const kind = types.MediaType("application/vnd.cyclonedx+json")
	bom, err := image.Artifact{Type: string(kind), BlobType: kind, Blob: []byte("{}"), Subject: subject}.Image()
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(bom); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]sign.Image{"runner": {Repository: repository, Tag: "v0.2.0", Digest: subject.Digest.String()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, sign.Images), list, 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := sign.GenerateKey(key, key+".pub"); err != nil {
		t.Fatal(err)
	}
	if err := sign.WriteChecksums(dir); err != nil {
		t.Fatal(err)
	}
	if err := sign.Sign(dir, key); err != nil {
		t.Fatal(err)
	}
	return dir, subject.Digest
}

// TestRelease pushes to registries with and without the API of referrers.
func TestRelease(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), quiet))
		t.Cleanup(server.Close)
		repository := strings.TrimPrefix(server.URL, "http://") + "/taskgroup/runner"
		dir, digest := signed(t, repository)
		var reported []string
		// A release that was pushed in part is pushed again.
		for range 2 {
			if err := Release(t.Context(), dir, func(reference string) { reported = append(reported, reference) }); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(slices.Repeat([]string{repository + ":v0.2.0"}, 2), reported); diff != "" {
			t.Error(diff)
		}
		comparePushed(t, repository, digest)
	}
}

func comparePushed(t *testing.T, to string, digest v1.Hash) {
	t.Helper()
	repository, err := name.NewRepository(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v0.2.0", "sha256-" + digest.Hex + ".sig"} {
		found, err := remote.Get(repository.Tag(tag))
		if err != nil {
			t.Errorf("%s: %v", tag, err)
		} else if tag == "v0.2.0" && found.Digest != digest {
			t.Errorf("%s has the digest %s, want %s", tag, found.Digest, digest)
		}
	}
	index, err := remote.Referrers(repository.Digest(digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].ArtifactType != "application/vnd.cyclonedx+json" {
		t.Errorf("the referrers are %+v", manifest.Manifests)
	}
}

func TestReleaseReportsTheImage(t *testing.T) {
	server := httptest.NewServer(registry.New(quiet))
	server.Close()
	dir, _ := signed(t, strings.TrimPrefix(server.URL, "http://")+"/taskgroup/runner")
	if err := Release(t.Context(), dir, func(string) {}); err == nil || !strings.Contains(err.Error(), "/taskgroup/runner:v0.2.0") {
		t.Errorf("got %v", err)
	}
}

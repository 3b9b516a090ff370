// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../../.."
	directory = root + "/charts/taskgroup-operator"
	namespace = "taskgroup-system"
)

// object is a Kubernetes object, and objects has each under kind, namespace and name.
type (
	object  = map[string]any
	objects map[string]object
)

// field returns the object at a path of keys, empty if there is none.
func field(o object, path ...string) object {
	for _, key := range path {
		o, _ = o[key].(object)
	}
	return o
}

func id(o object) string {
	meta := field(o, "metadata")
	return fmt.Sprintf("%v %v/%v", o["kind"], cmp.Or(meta["namespace"], any("")), meta["name"])
}

func parse(t *testing.T, into objects, document string) {
	t.Helper()
	var o object
	if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
		t.Fatalf("%v in:\n%s", err, document)
	}
	if len(o) == 0 {
		return
	}
	if _, exists := into[id(o)]; exists {
		t.Fatalf("%s is rendered twice", id(o))
	}
	into[id(o)] = o
}

// values reads values as a user writes them.
func values(t *testing.T, text string) object {
	t.Helper()
	var v object
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// tryRender renders the chart as "helm template" does: values are checked by the schema.
func tryRender(ctx context.Context, release string, v object) (map[string]string, error) {
	chart, err := loader.LoadDir(directory)
	if err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(chart, v, common.ReleaseOptions{Name: "taskgroup", Namespace: release, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(ctx, chart, all)
}

// render returns the objects of the chart, and its notes.
func render(t *testing.T, release, text string) (objects, string) {
	t.Helper()
	files, err := tryRender(t.Context(), release, values(t, text))
	if err != nil {
		t.Fatal(err)
	}
	all, notes := objects{}, ""
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case strings.HasSuffix(name, "NOTES.txt"):
			notes = files[name]
		case strings.HasSuffix(name, ".yaml"):
			for document := range strings.SplitSeq("\n"+files[name], "\n---\n") {
				parse(t, all, document)
			}
		}
	}
	return all, notes
}

// kustomize builds a kustomization of resources and components below config.
func kustomize(t *testing.T, text string) objects {
	t.Helper()
	dir := t.TempDir()
	config, err := filepath.Abs(root + "/config")
	if err != nil {
		t.Fatal(err)
	}
	// Kustomize refuses absolute paths, but follows links.
	if err := os.Symlink(config, filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	all := objects{}
	for _, resource := range built.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		parse(t, all, string(document))
	}
	return all
}

// helmLabels and helmAnnotations are the only differences to the kustomizations.
var (
	helmLabels      = []string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}
	helmAnnotations = []string{"helm.sh/resource-policy"}
)

// withoutHelm removes the metadata that only Helm uses.
func withoutHelm(all objects) objects {
	for _, o := range all {
		meta := field(o, "metadata")
		for list, keys := range map[string][]string{"labels": helmLabels, "annotations": helmAnnotations} {
			strings := field(meta, list)
			for _, key := range keys {
				delete(strings, key)
			}
			if len(strings) == 0 {
				delete(meta, list)
			}
		}
	}
	return all
}

// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
)

// TestEqualsKustomizations compares object by object. The one object that the chart does
// not render by default is the namespace, which exists before a release.
func TestEqualsKustomizations(t *testing.T) {
	tests := map[string]struct{ values, kustomization string }{
		"config/default": {
			"namespace: {create: true}",
			"resources: [config/default]",
		},
		"config/minimal": {
			"{namespace: {create: true}, gateway: {enabled: false}}",
			"resources: [config/minimal]",
		},
		"config/gateway-bucket": {
			"{namespace: {create: true}, gateway: {bucket: {existingSecret: taskgroup-gateway-bucket}}}",
			"{resources: [config/default], components: [config/gateway-bucket]}",
		},
		"config/network-policy": {
			"{namespace: {create: true}, metrics: {networkPolicy: {enabled: true}}}",
			"resources: [config/default, config/network-policy]",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := render(t, namespace, test.values)
			if diff := cmp.Diff(kustomize(t, test.kustomization), withoutHelm(got)); diff != "" {
				t.Errorf("-%s, +chart:\n%s", name, diff)
			}
		})
	}
}

func TestDispatchersEqualTheKustomization(t *testing.T) {
	without, _ := render(t, namespace, "{}")
	got, _ := render(t, namespace, "dispatchers: {namespaces: [team-a]}")
	for name := range without {
		delete(got, name)
	}
	if diff := cmp.Diff(kustomize(t, "{resources: [config/dispatcher], namespace: team-a}"), withoutHelm(got)); diff != "" {
		t.Errorf("-config/dispatcher, +chart:\n%s", diff)
	}
}

// TestCopiesAreCurrent requires the files that "make generate" copies into the chart: a
// chart contains no file from outside of its directory.
func TestCopiesAreCurrent(t *testing.T) {
	for name, source := range map[string]string{
		"crd.yaml":  "crd/bases/kubernetes.covalent.xyz_taskgroups.yaml",
		"role.yaml": "rbac/role.yaml",
	} {
		want, err := os.ReadFile(filepath.Join(root, "config", source))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(directory, "files", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("files/%s is not a copy of config/%s: run make generate", name, source)
		}
	}
}

func TestLint(t *testing.T) {
	linted := lint.RunAll(directory, map[string]any{}, namespace, lint.WithKubeVersion(&common.DefaultCapabilities.KubeVersion))
	for _, message := range linted.Messages {
		if message.Err.Error() != "chart.yaml: icon is recommended" && message.Severity > 1 {
			t.Error(message)
		}
	}
}

func TestKeepsWhatWouldBeLost(t *testing.T) {
	kept := func(all objects) (names []string) {
		for name, o := range all {
			if field(o, "metadata", "annotations")["helm.sh/resource-policy"] == "keep" {
				names = append(names, name)
			}
		}
		return names
	}
	all, _ := render(t, namespace, "{}")
	if got := kept(all); len(got) != 2 {
		t.Errorf("kept by default: %v, want the CRD and the volume", got)
	}
	all, _ = render(t, namespace, "{crds: {keep: false}, gateway: {persistence: {keep: false}}}")
	if got := kept(all); len(got) != 0 {
		t.Errorf("kept: %v, want none", got)
	}
	all, _ = render(t, namespace, "crds: {install: false}")
	for name := range all {
		if name == "CustomResourceDefinition /taskgroups.kubernetes.covalent.xyz" {
			t.Errorf("%s is rendered with crds.install=false", name)
		}
	}
}

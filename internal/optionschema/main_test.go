// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	crdPath  = "../../config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml"
	packaged = "../../python/covalent_taskgroup_plugin/schema.json"
)

// TestPackagedSchemaIsCurrent: the plugin validates options against the fields of this CRD.
func TestPackagedSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	generated := filepath.Join(t.TempDir(), "schema.json")
	if err := generate(crdPath, generated); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(generated)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(packaged)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("schema.json differs from the CRD: run make generate (-want +got):\n%s", diff)
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(crdPath)
	if err != nil {
		t.Fatal(err)
	}
	options, err := optionsOf(raw)
	if err != nil {
		t.Fatal(err)
	}
	resources := options["pod"].Properties["resources"].Properties
	volumes := options["pod"].Properties["volumes"]
	for name, tc := range map[string]struct {
		got  schema
		want string
	}{
		"an object":      {options["runner"], "object"},
		"a list":         {volumes, "array"},
		"a quantity":     {*resources["limits"].Values, "number|string"},
		"an intorstring": {volumes.Items.Properties["emptyDir"].Properties["sizeLimit"], "integer|string"},
	} {
		if tc.got.Type != tc.want {
			t.Errorf("%s has type %q, want %q", name, tc.got.Type, tc.want)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"without arguments": {nil, 2},
		"without the CRD":   {[]string{filepath.Join(t.TempDir(), "crd.yaml"), filepath.Join(t.TempDir(), "out.json")}, 1},
	} {
		if got := run(tc.args); got != tc.want {
			t.Errorf("%s: exit code %d, want %d", name, got, tc.want)
		}
	}
}

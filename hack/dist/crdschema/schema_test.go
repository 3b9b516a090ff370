// SPDX-License-Identifier: Apache-2.0

package crdschema

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

const config = "../../../config"

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	manifest, err := os.ReadFile(config + "/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := Schemas(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"taskgroup-kubernetes-v1alpha1.json"}, slices.Collect(maps.Keys(schemas))); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemas["taskgroup-kubernetes-v1alpha1.json"]))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func instance(t *testing.T, document string) any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSamplesAreValid(t *testing.T) {
	schema := compile(t)
	files, err := filepath.Glob(config + "/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	valid := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(raw), "\n---\n") {
			if !strings.Contains(document, "kind: TaskGroup\n") {
				continue
			}
			valid++
			if err := schema.Validate(instance(t, document)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if valid == 0 {
		t.Error("no sample is a TaskGroup")
	}
}

func TestErrorsAreFound(t *testing.T) {
	schema := compile(t)
	const head = "apiVersion: kubernetes.covalent.xyz/v1alpha1\nkind: TaskGroup\nmetadata: {name: a, labels: {a: b}}\n"
	for name, test := range map[string]struct {
		document string
		want     string
	}{
		"valid, with an amount as a number": {head + "spec: {tasks: [{nodeID: 1, command: [a]}], pod: {resources: {requests: {cpu: 0.5}}}}", ""},
		"an unknown field":                  {head + "spec: {tasks: [{nodeID: 1, comand: [a]}]}", "comand"},
		"a wrong type":                      {head + "spec: {tasks: [{nodeID: one, command: [a]}]}", "integer"},
		"another kind":                      {"apiVersion: kubernetes.covalent.xyz/v1alpha1\nkind: TaskGroups\nspec: {tasks: []}", "TaskGroup"},
		"no version":                        {"kind: TaskGroup\nspec: {tasks: [{nodeID: 1, command: [a]}]}", "apiVersion"},
	} {
		t.Run(name, func(t *testing.T) {
			err := schema.Validate(instance(t, test.document))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"encoding/json"
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// openAPI is the document that the API server makes of this release's CRD, without the
// properties of the given paths.
func openAPI(t *testing.T, without ...[]string) string {
	t.Helper()
	raw, err := os.ReadFile("../../config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, path := range without {
		at := schema
		for _, name := range path[:len(path)-1] {
			properties, ok := at["properties"].(map[string]any)
			if !ok {
				t.Fatalf("no properties above %q", path)
			}
			at = properties[name].(map[string]any)
			if items, ok := at["items"].(map[string]any); ok {
				at = items
			}
		}
		delete(at["properties"].(map[string]any), path[len(path)-1])
	}
	schema["x-kubernetes-group-version-kind"] = []map[string]string{{"group": v1alpha1.GroupName, "kind": "TaskGroup", "version": "v1alpha1"}}
	document, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": map[string]any{"xyz.covalent.TaskGroup": schema}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

// TestTheCRD compares this program with its own CRD, which lacks nothing, and with others.
func TestTheCRD(t *testing.T) {
	const path = "/openapi/v3/apis/kubernetes.covalent.xyz/v1alpha1"
	without := func(paths ...[]string) map[string]string { return map[string]string{path: openAPI(t, paths...)} }
	skipped := "cluster:ok crd:failed operator:skipped permissions:ok namespace:ok store:skipped pod:skipped pod-store:skipped image:skipped"
	older := in(noStore, "crd:warning")
	for name, tc := range map[string]struct {
		documents map[string]string
		statuses  string
		texts     []string
	}{
		"this release":     {nil, noStore, []string{"v1alpha1 is installed with all fields"}},
		"not installed":    {map[string]string{"/apis/kubernetes.covalent.xyz": ""}, skipped, []string{"the CRD is not installed", "kubectl apply -k config/default"}},
		"another version":  {map[string]string{"/apis/kubernetes.covalent.xyz": `{"versions": [{"version": "v1beta1"}]}`}, skipped, []string{"has the versions v1beta1, this program needs v1alpha1"}},
		"older":            {without([]string{"spec", "retries", "oomMemoryMax"}, []string{"status", "nodeName"}, []string{"spec", "tasks", "kwargs"}), older, []string{"lacks spec.retries.oomMemoryMax, spec.tasks[].kwargs, status.nodeName", "upgrade the operator"}},
		"much older":       {without([]string{"spec", "pod"}), skipped, []string{"lacks spec.pod, which is set"}},
		"unusable":         {without([]string{"spec", "tasks"}), skipped, []string{"lacks spec.tasks"}},
		"no document":      {map[string]string{path: ""}, older, []string{"its fields cannot be read"}},
		"another document": {map[string]string{path: `{"components": {}}`}, older, []string{"the OpenAPI document has no TaskGroup"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			for path, text := range tc.documents {
				if w.documents[path] = text; text == "" {
					delete(w.documents, path)
				}
			}
			report := w.run(func(c *doctor.Config) {
				c.Group = testkit.New(namespace, "g").Pod(v1alpha1.PodOptions{Image: "i"}).Obj()
			})
			want(t, report, tc.statuses, doctor.CheckCRD, tc.texts...)
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestCovalentShapes decodes what Covalent's own models wrote, without a field
// that is not known, and encodes it again to the same JSON.
func TestCovalentShapes(t *testing.T) {
	raw, err := os.ReadFile("testdata/shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var shapes struct {
		TaskSpecs    []contract.TaskSpec    `json:"task_specs"`
		ResourceMaps []contract.ResourceMap `json:"resource_maps"`
		TaskUpdates  []contract.TaskUpdate  `json:"task_updates"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&shapes); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(shapes)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("encoded anew (-Covalent +ours):\n%s", diff)
	}
	update := shapes.TaskUpdates[0]
	if update.Status.Status != contract.TaskCompleted || update.Assets[contract.AssetOutput].Size != 5 {
		t.Errorf("decoded %+v", update)
	}
	if shapes.ResourceMaps[0].Inputs[0] != "file:///data/node_0" {
		t.Errorf("decoded %+v", shapes.ResourceMaps[0])
	}
}

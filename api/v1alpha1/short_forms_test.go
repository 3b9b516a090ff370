// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"os"
	"testing"
)

// TestShortFormsAreAccepted creates groups with the pods that the Covalent plugin makes
// of its short arguments.
func TestShortFormsAreAccepted(t *testing.T) {
	raw, err := os.ReadFile("../../contract/testdata/short_forms.json")
	if err != nil {
		t.Fatal(err)
	}
	var forms []struct {
		Name string
		Spec json.RawMessage
	}
	if err := json.Unmarshal(raw, &forms); err != nil || len(forms) == 0 {
		t.Fatalf("%d forms: %v", len(forms), err)
	}
	cases := make(map[string]createCase, len(forms))
	for _, form := range forms {
		cases[form.Name] = createCase{string(form.Spec), ""}
	}
	requireCreate(t, cases)
}

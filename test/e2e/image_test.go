// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestPythonImage: the image of the demo runs a function as the real Covalent
// pickled it, has numpy, and does not compile its modules in every pod.
func TestPythonImage(t *testing.T) {
	t.Parallel()
	pickled, err := os.ReadFile("../../contract/testdata/transportable/function.bin")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(assets, "functions", "covalent-add"), pickled, 0o644); err != nil {
		t.Fatal(err)
	}
	tg := functions("image", "covalent-add", "multiplies", "finds_bytecode")
	tg.Spec.Assets.Inputs = map[string]v1alpha1.AssetURI{
		"10": "file:///assets/inputs/three",
		"11": "file:///assets/inputs/four",
		"12": "file:///assets/inputs/module",
		"13": "file:///assets/inputs/other",
	}
	tg.Spec.Tasks[0].Args = []v1alpha1.NodeID{10, 11}
	tg.Spec.Tasks[2].Args = []v1alpha1.NodeID{12, 13}
	m := manifest(t, awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted))
	want := []string{"7", "array([[0., 1.],", "       [2., 3.]])", "True"}
	if diff := cmp.Diff(want, results(t, m)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

// TestManifestsOfTheDocumentation validates each TaskGroup of the documentation, and each
// part of one, as the API server does.
func TestManifestsOfTheDocumentation(t *testing.T) {
	blocks, err := docs.Blocks("../..", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	v := newValidators(t)
	for _, block := range blocks {
		if block.NotRun != "" {
			continue
		}
		for manifest := range strings.SplitSeq(block.Text, "\n---\n") {
			var tg v1alpha1.TaskGroup
			if err := yaml.UnmarshalStrict([]byte(manifest), &tg); err != nil {
				t.Errorf("%s: %v", block, err)
				continue
			}
			_, spec, found := strings.Cut("\n"+manifest, "\nspec:\n")
			if !found {
				t.Errorf("%s has no spec", block)
				continue
			}
			for _, err := range v.create(t, groupOf(t, v, "\n"+spec)) {
				t.Errorf("%s: %v", block, err)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// TestOldestServer compiles all rules as an API server of 1.33 does, the oldest that
// README.md names. A server accepts in new rules what the version before it had.
func TestOldestServer(t *testing.T) {
	structural := newValidators(t).structural
	rules := 0
	for minor, works := range map[uint]bool{32: false, 33: true} {
		env := environment.MustBaseEnvSet(version.MajorMinor(1, minor-1))
		ok := true
		visitRules(structural, func(node *schema.Structural) {
			results, err := cel.Compile(node, model.SchemaDeclType(node, false), celconfig.PerCallLimit, env, cel.NewExpressionsEnvLoader())
			if err != nil {
				t.Fatal(err)
			}
			for _, result := range results {
				rules++
				ok = ok && result.Error == nil
				if works && result.Error != nil {
					t.Errorf("1.%d: %s", minor, result.Error.Detail)
				}
			}
		})
		if ok != works {
			t.Errorf("1.%d: the CRD is accepted: %t; update the version in README.md", minor, ok)
		}
	}
	if rules == 0 {
		t.Fatal("found no rule")
	}
}

// visitRules calls do for each node of the schema that has rules.
func visitRules(node *schema.Structural, do func(*schema.Structural)) {
	if len(node.XValidations) > 0 {
		do(node)
	}
	for name := range node.Properties {
		property := node.Properties[name]
		visitRules(&property, do)
	}
	if node.Items != nil {
		visitRules(node.Items, do)
	}
	if node.AdditionalProperties != nil && node.AdditionalProperties.Structural != nil {
		visitRules(node.AdditionalProperties.Structural, do)
	}
}

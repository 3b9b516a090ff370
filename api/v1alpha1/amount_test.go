// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// amountCases are values of resources and the quantities that a Pod reads them as;
// empty for values that the API server refuses.
var amountCases = map[string]struct{ json, want string }{
	"a fraction":                {`0.5`, "500m"},
	"a whole number":            {`2`, "2"},
	"a great number":            {`1e21`, "1e21"},
	"nothing":                   {`0`, "0"},
	"a fraction in a string":    {`"0.5"`, "500m"},
	"a milli":                   {`"500m"`, "500m"},
	"a gibi":                    {`"1Gi"`, "1Gi"},
	"another form of a gibi":    {`"1024Mi"`, "1Gi"},
	"an exponent":               {`"1e3"`, "1e3"},
	"a plus sign":               {`"+1"`, "1"},
	"letters":                   {`"abc"`, ""},
	"a fraction of an exponent": {`"1e1.5"`, ""},
	"an unknown suffix":         {`"1GB"`, ""},
	"an empty string":           {`""`, ""},
	"a negative number":         {`-1`, ""},
	"a negative fraction":       {`-0.5`, ""},
	"a negative string":         {`"-1"`, ""},
	"a truth":                   {`true`, ""},
	"a falsehood":               {`false`, ""},
	"a list":                    {`["1"]`, ""},
	"an empty list":             {`[]`, ""},
	"an object":                 {`{"a": "1"}`, ""},
	"an empty object":           {`{}`, ""},
}

func TestAmounts(t *testing.T) {
	v := newValidators(t)
	for name, tc := range amountCases {
		t.Run(name, func(t *testing.T) {
			for _, list := range []string{"requests", "limits"} {
				obj := groupOf(t, v, `{pod: {resources: {`+list+`: {cpu: `+tc.json+`}}}}`)
				err := v.create(t, obj).ToAggregate()
				if (err == nil) != (tc.want != "") {
					t.Errorf("%s: %v", list, err)
				}
			}
			var amount v1alpha1.Amount
			if err := json.Unmarshal([]byte(tc.json), &amount); err != nil {
				t.Fatalf("a value that cannot be decoded stops the operator's list: %v", err)
			}
			if tc.want == "" {
				return
			}
			got := amount.Quantity()
			if got.Cmp(resource.MustParse(tc.want)) != 0 {
				t.Errorf("got %s, want %s", got.String(), tc.want)
			}
			var pod resource.Quantity
			if err := json.Unmarshal([]byte(tc.json), &pod); err != nil || pod.Cmp(got) != 0 {
				t.Errorf("a Pod reads %s (%v)", pod.String(), err)
			}
		})
	}
}

// TestAcceptedAmountsAreQuantities requires that whatever the schema accepts can be
// parsed: Amount.Quantity has no error.
func TestAcceptedAmountsAreQuantities(t *testing.T) {
	v := newValidators(t)
	for _, value := range []string{
		`1e300`, `1e-300`, `9223372036854775807`, `"1e99"`, `"1E-99"`, `".5"`, `"5."`, `"+.5Ki"`, `"1.5n"`, `"5.E+1"`, `"9E"`, `"9e"`,
		`"` + strings.Repeat("9", 64) + `"`, `"0.` + strings.Repeat("0", 60) + `1"`, `"1e"`, `"1e+"`, `"."`, `"Ki"`, `"1 "`, `" 1"`, `"0x10"`, `"1_000"`, `"Inf"`, `"NaN"`,
	} {
		accepted := len(v.create(t, groupOf(t, v, `{pod: {resources: {limits: {cpu: `+value+`}}}}`))) == 0
		var amount v1alpha1.Amount
		if err := json.Unmarshal([]byte(value), &amount); err != nil {
			t.Fatal(err)
		}
		_, err := resource.ParseQuantity(amount.Text)
		if accepted && err != nil {
			t.Errorf("%s is accepted and no quantity: %v", value, err)
		}
	}
}

// TestTypedUpdate reads a group with the Go types, changes spec.suspend and writes
// it back: the API server must not see a change of what is immutable.
func TestTypedUpdate(t *testing.T) {
	cases := map[string]string{
		"limits":   `{pod: {resources: {limits: {cpu: %}}}}`,
		"requests": `{pod: {resources: {requests: {memory: %}}}}`,
	}
	v := newValidators(t)
	for name, spec := range cases {
		for of, value := range amountCases {
			if value.want == "" {
				continue
			}
			t.Run(name+"/"+of, func(t *testing.T) {
				old := groupOf(t, v, strings.Replace(spec, "%", value.json, 1))
				requireNone(t, v.create(t, old))
				changed := throughGoTypes(t, old)
				v.setDefaults(changed)
				if diff := cmp.Diff(specOf(old)["pod"], specOf(changed)["pod"]); diff != "" {
					t.Errorf("spec.pod (-old +written):\n%s", diff)
				}
				requireNone(t, v.update(t, changed, old))
			})
		}
	}
}

// TestAmountsAreImmutable changes an amount, which the schema hides from the rules.
func TestAmountsAreImmutable(t *testing.T) {
	v := newValidators(t)
	old := groupOf(t, v, `{pod: {resources: {limits: {cpu: 0.5}}}}`)
	for name, spec := range map[string]string{
		"another number":   `{pod: {resources: {limits: {cpu: 0.6}}}}`,
		"another resource": `{pod: {resources: {limits: {cpu: 0.5, memory: 1Gi}}}}`,
		"no limits":        `{pod: {resources: {requests: {cpu: 0.5}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if errs := v.update(t, groupOf(t, v, spec), old); len(errs) == 0 {
				t.Error("the change is accepted")
			}
		})
	}
}

// throughGoTypes returns the group as a typed client writes it, with spec.suspend set.
func throughGoTypes(t *testing.T, old *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	raw, err := old.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := json.Unmarshal(raw, &tg); err != nil {
		t.Fatal(err)
	}
	tg.Spec.Suspend = true
	if raw, err = json.Marshal(&tg); err != nil {
		t.Fatal(err)
	}
	changed := &unstructured.Unstructured{}
	if err := changed.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	delete(changed.Object, "status")
	return changed
}

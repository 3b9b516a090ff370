// SPDX-License-Identifier: Apache-2.0

// Command optionschema writes the part of the CRD's schema that clients validate
// options against: spec.execution, spec.pod and spec.runner, without descriptions and
// without the rules that only the API server evaluates.
//
//	optionschema CRD.yaml OUTPUT.json
package main

import (
	"encoding/json"
	"fmt"
	"os"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// schema is what a client needs of a JSONSchemaProps to report a wrong name, type or
// value together with its path.
type schema struct {
	// Type is one type of JSON, or two that are separated by "|". It is empty for a value
	// of any type.
	Type       string            `json:"type,omitempty"`
	Properties map[string]schema `json:"properties,omitempty"`
	// Values is the schema of the values of a map with arbitrary keys.
	Values   *schema  `json:"values,omitempty"`
	Items    *schema  `json:"items,omitempty"`
	Required []string `json:"required,omitempty"`
	Enum     []any    `json:"enum,omitempty"`
	Pattern  string   `json:"pattern,omitempty"`
	Minimum  *float64 `json:"minimum,omitempty"`
	Maximum  *float64 `json:"maximum,omitempty"`
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: optionschema CRD.yaml OUTPUT.json")
		return 2
	}
	if err := generate(args[0], args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}

func generate(crdPath, output string) error {
	raw, err := os.ReadFile(crdPath)
	if err != nil {
		return fmt.Errorf("reading the CRD: %w", err)
	}
	options, err := optionsOf(raw)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(options, "", " ")
	if err != nil {
		return fmt.Errorf("encoding the schema: %w", err)
	}
	return os.WriteFile(output, append(text, '\n'), 0o644)
}

// optionsOf returns the schemas by option name.
func optionsOf(raw []byte) (map[string]schema, error) {
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
		return nil, fmt.Errorf("decoding the CRD: %w", err)
	}
	options := map[string]schema{}
	for _, version := range crd.Spec.Versions {
		if !version.Storage {
			continue
		}
		spec := version.Schema.OpenAPIV3Schema.Properties["spec"]
		for _, name := range []string{"execution", "pod", "runner"} {
			property, ok := spec.Properties[name]
			if !ok {
				return nil, fmt.Errorf("spec.%s is missing in version %s", name, version.Name)
			}
			options[name] = *compact(&property)
		}
	}
	return options, nil
}

func compact(full *apiextensions.JSONSchemaProps) *schema {
	reduced := &schema{Type: typesOf(full), Required: full.Required, Pattern: full.Pattern, Minimum: full.Minimum, Maximum: full.Maximum}
	for _, value := range full.Enum {
		reduced.Enum = append(reduced.Enum, json.RawMessage(value.Raw))
	}
	for name, property := range full.Properties {
		if reduced.Properties == nil {
			reduced.Properties = make(map[string]schema, len(full.Properties))
		}
		reduced.Properties[name] = *compact(&property)
	}
	if full.Items != nil && full.Items.Schema != nil {
		reduced.Items = compact(full.Items.Schema)
	}
	if full.AdditionalProperties != nil && full.AdditionalProperties.Schema != nil {
		reduced.Values = compact(full.AdditionalProperties.Schema)
	}
	return reduced
}

func typesOf(full *apiextensions.JSONSchemaProps) string {
	switch {
	case full.XIntOrString:
		return "integer|string"
	case full.Type == "" && full.Pattern != "":
		// hack/amounts.sed removes the type of a quantity.
		return "number|string"
	default:
		return full.Type
	}
}

// SPDX-License-Identifier: Apache-2.0

package crdschema

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// crd has the fields of a CustomResourceDefinition that are read.
type crd struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

// Schemas returns the schema of each version by its file name, which is the one that
// kubeconform looks for: kind, first label of the group and version.
func Schemas(manifest []byte) (map[string][]byte, error) {
	var definition crd
	if err := yaml.Unmarshal(manifest, &definition); err != nil {
		return nil, fmt.Errorf("decoding a CustomResourceDefinition: %w", err)
	}
	spec := definition.Spec
	group, _, _ := strings.Cut(spec.Group, ".")
	schemas := map[string][]byte{}
	for _, version := range spec.Versions {
		schema, _ := convert(version.Schema.OpenAPIV3Schema).(map[string]any)
		properties, ok := schema["properties"].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the version %s has no properties", version.Name)
		}
		schema["$schema"] = "http://json-schema.org/draft-07/schema#"
		schema["required"] = []any{"apiVersion", "kind"}
		properties["apiVersion"] = map[string]any{"type": "string", "const": spec.Group + "/" + version.Name}
		properties["kind"] = map[string]any{"type": "string", "const": spec.Names.Kind}
		raw, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encoding a schema: %w", err)
		}
		name := strings.ToLower(fmt.Sprintf("%s-%s-%s.json", spec.Names.Kind, group, version.Name))
		schemas[name] = append(raw, '\n')
	}
	return schemas, nil
}

// convert returns a schema of JSON for one of Kubernetes: without the extensions, and
// with an error for unknown fields, as the API server drops or refuses them.
func convert(value any) any {
	switch value := value.(type) {
	case []any:
		converted := make([]any, len(value))
		for i := range value {
			converted[i] = convert(value[i])
		}
		return converted
	case map[string]any:
		return convertObject(value)
	default:
		return value
	}
}

func convertObject(value map[string]any) map[string]any {
	converted := map[string]any{}
	for key, inner := range value {
		if properties, ok := inner.(map[string]any); ok && key == "properties" {
			// The keys are names of fields, of which one may be that of an extension.
			fields := map[string]any{}
			for name, field := range properties {
				fields[name] = convert(field)
			}
			converted[key] = fields
			continue
		}
		if !strings.HasPrefix(key, "x-kubernetes-") {
			converted[key] = convert(inner)
		}
	}
	_, hasType := value["type"]
	if _, isObject := value["properties"]; isObject && hasType && value["additionalProperties"] == nil && value["x-kubernetes-preserve-unknown-fields"] != true {
		converted["additionalProperties"] = false
	}
	if _, hasUnion := value["anyOf"]; value["x-kubernetes-int-or-string"] == true && !hasUnion {
		converted["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}
	}
	return converted
}

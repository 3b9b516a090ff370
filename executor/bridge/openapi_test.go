// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write docs/executor-openapi.yaml anew")

const document = "../../docs/executor-openapi.yaml"

// TestOpenAPI holds the document against the routes and shapes that are served.
func TestOpenAPI(t *testing.T) {
	schemas := map[string]any{}
	paths := map[string]any{}
	for _, route := range routes {
		operation := map[string]any{
			"operationId": strings.Trim(strings.ReplaceAll(strings.TrimPrefix(route.path, "/v1"), "-", ""), "/"),
			"responses": map[string]any{
				"200":     content("done", schemaOf(reflect.TypeOf(route.response), schemas)),
				"default": content("not done", schemaOf(reflect.TypeFor[ErrorResponse](), schemas)),
			},
		}
		if route.request != nil {
			body := content("", schemaOf(reflect.TypeOf(route.request), schemas))
			delete(body, "description")
			body["required"] = true
			operation["requestBody"] = body
		}
		paths[route.path] = map[string]any{strings.ToLower(route.method): operation}
	}
	want := map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "TaskGroup executor bridge", "version": "1",
			"description": "HTTP with JSON over a Unix socket; see executor.md. Written by `go test ./executor/bridge -run TestOpenAPI -update`.",
		},
		"paths": paths, "components": map[string]any{"schemas": schemas},
	}
	// Through JSON, so that both sides have the same Go types.
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		text, err := yaml.JSONToYAML(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(document, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var served, documented any
	if err := json.Unmarshal(raw, &served); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &documented); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("run with -update (-documented +served):\n%s", diff)
	}
}

func content(description string, schema any) map[string]any {
	return map[string]any{"description": description, "content": map[string]any{"application/json": map[string]any{"schema": schema}}}
}

// schemaOf is the JSON schema of a type; structs of the project are named. Those of
// Kubernetes are objects whose fields its own documentation has.
func schemaOf(of reflect.Type, schemas map[string]any) map[string]any {
	switch of.Kind() {
	case reflect.Pointer:
		return schemaOf(of.Elem(), schemas)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(of.Elem(), schemas)}
	case reflect.Slice:
		if of == reflect.TypeFor[json.RawMessage]() {
			return map[string]any{}
		}
		if of.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": "array", "items": schemaOf(of.Elem(), schemas)}
	default:
	}
	if !strings.Contains(of.PkgPath(), "/executor") && !strings.Contains(of.PkgPath(), "/contract") {
		return map[string]any{"type": "object"}
	}
	reference := map[string]any{"$ref": "#/components/schemas/" + of.Name()}
	if _, ok := schemas[of.Name()]; ok {
		return reference
	}
	schemas[of.Name()] = nil
	properties, required := map[string]any{}, map[string]bool{}
	fieldsOf(of, schemas, properties, required)
	schema := map[string]any{"type": "object", "properties": properties}
	if names := slices.Sorted(maps.Keys(required)); len(names) > 0 {
		schema["required"] = names
	}
	schemas[of.Name()] = schema
	return reference
}

func fieldsOf(of reflect.Type, schemas, properties map[string]any, required map[string]bool) {
	for field := range of.Fields() {
		tag := field.Tag.Get("json")
		if tag == "-" {
			continue
		}
		if field.Anonymous && tag == "" {
			fieldsOf(field.Type, schemas, properties, required)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		properties[name] = schemaOf(field.Type, schemas)
		if options == "" && of.Name() != "Options" {
			required[name] = true
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const installCRD = "install the operator and its CRD: kubectl apply -k config/default"

// maxNamed bounds the number of missing fields that a message names.
const maxNamed = 8

func (d *doctor) checkCRD(ctx context.Context) Check {
	raw, err := d.cluster.Get(ctx, "/apis/"+v1alpha1.GroupName)
	if isNotFound(err) {
		return failed("the cluster has no TaskGroups: the CRD is not installed").next(installCRD)
	}
	if err != nil {
		return d.refused("reading the versions of the CRD", err)
	}
	served := servedVersions(raw)
	if !slices.Contains(served, v1alpha1.GroupVersion.Version) {
		return failed("the CRD has the versions %s, this program needs %s", strings.Join(served, ", "), v1alpha1.GroupVersion.Version).
			next("use releases of this program and of the operator that belong together")
	}
	raw, err = d.cluster.Get(ctx, "/openapi/v3/apis/"+v1alpha1.GroupVersion.String())
	if err != nil {
		return warning("%s is installed; its fields cannot be read: %s", v1alpha1.GroupVersion, err).next("repeat the check in a minute if the CRD is new")
	}
	missing, err := missingFields(raw)
	if err != nil {
		return warning("%s is installed; its fields cannot be read: %s", v1alpha1.GroupVersion, err).next("use releases of this program and of the operator that belong together")
	}
	return d.judgeFields(missing)
}

// judgeFields refuses a CRD that lacks a field of the group, and warns of other fields.
func (d *doctor) judgeFields(missing []string) Check {
	if len(missing) == 0 {
		return ok("%s is installed with all fields that this program knows", v1alpha1.GroupVersion)
	}
	names := missing
	if len(names) > maxNamed {
		names = append(slices.Clone(names[:maxNamed]), fmt.Sprintf("%d more", len(missing)-maxNamed))
	}
	const upgrade = "upgrade the operator and its CRD to the release of this program: kubectl apply -k config/default"
	used := usedFields(d.Group)
	for _, field := range missing {
		if slices.Contains(used, field) || field == "spec" || field == "status" || field == "spec.tasks" {
			return failed("the CRD is of another release and lacks %s, which is set", field).next(upgrade)
		}
	}
	return warning("the CRD is older than this program and lacks %s: the API server drops such fields", strings.Join(names, ", ")).next(upgrade)
}

func servedVersions(raw []byte) []string {
	var group struct {
		Versions []struct {
			Version string `json:"version"`
		} `json:"versions"`
	}
	_ = json.Unmarshal(raw, &group)
	var versions []string
	for _, v := range group.Versions {
		versions = append(versions, v.Version)
	}
	return versions
}

// openAPISchema is a schema of an OpenAPI document.
type openAPISchema struct {
	Ref                  string                    `json:"$ref"`
	AllOf                []openAPISchema           `json:"allOf"`
	Properties           map[string]*openAPISchema `json:"properties"`
	Items                *openAPISchema            `json:"items"`
	AdditionalProperties json.RawMessage           `json:"additionalProperties"`
	PreserveUnknown      bool                      `json:"x-kubernetes-preserve-unknown-fields"`
	Kinds                []struct {
		Kind string `json:"kind"`
	} `json:"x-kubernetes-group-version-kind"`
}

// missingFields returns the paths of the fields of a TaskGroup that the document of an
// API server lacks, sorted. Fields below a missing field are not listed.
func missingFields(document []byte) ([]string, error) {
	var parsed struct {
		Components struct {
			Schemas map[string]*openAPISchema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		return nil, fmt.Errorf("decoding the OpenAPI document: %w", err)
	}
	for _, schema := range parsed.Components.Schemas {
		for _, kind := range schema.Kinds {
			if kind.Kind == "TaskGroup" {
				return compareFields(schema), nil
			}
		}
	}
	return nil, errors.New("the OpenAPI document has no TaskGroup")
}

func compareFields(schema *openAPISchema) []string {
	var missing []string
	for name, of := range map[string]reflect.Type{
		"spec": reflect.TypeFor[v1alpha1.TaskGroupSpec](), "status": reflect.TypeFor[v1alpha1.TaskGroupStatus](),
	} {
		if schema.Properties[name] == nil {
			missing = append(missing, name)
			continue
		}
		missing = append(missing, lacking(of, schema.Properties[name], name)...)
	}
	slices.Sort(missing)
	return missing
}

// lacking compares a Go type with a schema.
func lacking(of reflect.Type, schema *openAPISchema, path string) []string {
	switch {
	case schema == nil || schema.PreserveUnknown || schema.Ref != "" || len(schema.AllOf) > 0 || hasOwnForm(of):
		// Not the schema of fields.
		return nil
	}
	switch of.Kind() {
	case reflect.Pointer:
		return lacking(of.Elem(), schema, path)
	case reflect.Slice:
		return lacking(of.Elem(), schema.Items, path+"[]")
	case reflect.Map:
		var values openAPISchema
		if json.Unmarshal(schema.AdditionalProperties, &values) != nil {
			return nil
		}
		return lacking(of.Elem(), &values, path+".*")
	case reflect.Struct:
		return lackingOfStruct(of, schema, path)
	default:
		return nil
	}
}

func lackingOfStruct(of reflect.Type, schema *openAPISchema, path string) (missing []string) {
	for field := range of.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && (field.Anonymous || strings.Contains(options, "inline")):
			missing = append(missing, lacking(field.Type, schema, path)...)
		case schema.Properties[name] == nil:
			missing = append(missing, path+"."+name)
		default:
			missing = append(missing, lacking(field.Type, schema.Properties[name], path+"."+name)...)
		}
	}
	return missing
}

// hasOwnForm reports whether a type is encoded otherwise than by its fields, or, as
// metadata is, has no fields in the schema.
func hasOwnForm(of reflect.Type) bool {
	marshaler := reflect.TypeFor[json.Marshaler]()
	return of == reflect.TypeFor[metav1.ObjectMeta]() || of.Kind() != reflect.Pointer && (of.Implements(marshaler) || reflect.PointerTo(of).Implements(marshaler))
}

// usedFields returns the paths of the fields that a group sets.
func usedFields(tg *v1alpha1.TaskGroup) []string {
	raw, err := json.Marshal(tg.Spec)
	if err != nil {
		return nil
	}
	var spec any
	if json.Unmarshal(raw, &spec) != nil {
		return nil
	}
	return pathsOf(spec, "spec")
}

func pathsOf(value any, path string) (paths []string) {
	switch value := value.(type) {
	case map[string]any:
		for key, of := range value {
			paths = append(paths, path+"."+key)
			paths = append(paths, pathsOf(of, path+"."+key)...)
		}
	case []any:
		for _, of := range value {
			paths = append(paths, pathsOf(of, path+"[]")...)
		}
	}
	return paths
}

// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	provenancev1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intotov1 "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// ProvenanceType is the media type of a statement.
	ProvenanceType = "application/vnd.in-toto+json"

	predicateType = "https://slsa.dev/provenance/v1"
	repository    = "https://github.com/taskgroup-operator/taskgroup-operator"
)

// Build is what determines the artifacts of a release.
type Build struct {
	Version, Registry, Commit, GoVersion string
}

// Provenance returns a statement that subjects, by name and SHA-256, were built so. It
// has no time and no machine: each user who builds the commit gets the same statement.
func Provenance(build Build, subjects map[string]string) ([]byte, error) {
	external, err := structpb.NewStruct(map[string]any{"version": build.Version, "registry": build.Registry})
	if err != nil {
		return nil, fmt.Errorf("encoding the parameters of the build: %w", err)
	}
	internal, err := structpb.NewStruct(map[string]any{"go": build.GoVersion})
	if err != nil {
		return nil, fmt.Errorf("encoding the parameters of the build: %w", err)
	}
	provenance := &provenancev1.Provenance{
		BuildDefinition: &provenancev1.BuildDefinition{
			BuildType: repository + "/blob/main/docs/releasing.md", ExternalParameters: external, InternalParameters: internal,
			ResolvedDependencies: []*intotov1.ResourceDescriptor{sources(build.Commit)},
		},
		RunDetails: &provenancev1.RunDetails{Builder: &provenancev1.Builder{Id: repository + "/tree/main/hack/dist"}},
	}
	if err := provenance.Validate(); err != nil {
		return nil, fmt.Errorf("checking the provenance: %w", err)
	}
	predicate := &structpb.Struct{}
	raw, err := protojson.Marshal(provenance)
	if err == nil {
		err = protojson.Unmarshal(raw, predicate)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the provenance: %w", err)
	}
	statement := &intotov1.Statement{Type: intotov1.StatementTypeUri, PredicateType: predicateType, Predicate: predicate}
	for _, name := range slices.Sorted(maps.Keys(subjects)) {
		statement.Subject = append(statement.Subject, &intotov1.ResourceDescriptor{Name: name, Digest: map[string]string{"sha256": subjects[name]}})
	}
	if err := statement.Validate(); err != nil {
		return nil, fmt.Errorf("checking the provenance: %w", err)
	}
	if raw, err = protojson.Marshal(statement); err != nil {
		return nil, fmt.Errorf("encoding the provenance: %w", err)
	}
	// The spaces that protojson writes differ between builds of the library.
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("encoding the provenance: %w", err)
	}
	return append(out.Bytes(), '\n'), nil
}

// sources describes a checkout. The commit of a checkout with changes, which ends with -dirty,
// is no digest of the sources.
func sources(commit string) *intotov1.ResourceDescriptor {
	descriptor := &intotov1.ResourceDescriptor{Uri: "git+" + repository}
	if changed, isChanged := strings.CutSuffix(commit, "-dirty"); isChanged {
		descriptor.Uri += "@" + changed
		descriptor.Name = "a checkout with changes"
		return descriptor
	}
	descriptor.Digest = map[string]string{"gitCommit": commit}
	return descriptor
}

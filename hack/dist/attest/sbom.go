// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// SBOMType is the media type of a bill of materials.
const SBOMType = "application/vnd.cyclonedx+json"

// SBOM returns the bill of materials of a Go program, from the modules that the linker
// recorded in it: these are linked, where those of go.mod may not be.
func SBOM(program, name, version string, created time.Time) ([]byte, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("reading the modules of %s: %w", name, err)
	}
	main := cyclonedx.Component{
		BOMRef: "program", Type: cyclonedx.ComponentTypeApplication, Name: name, Version: version,
		PackageURL: packageURL(info.Path, version), Properties: settings(info),
	}
	components := []cyclonedx.Component{{
		BOMRef: "std", Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion,
		PackageURL: packageURL("std", strings.TrimPrefix(info.GoVersion, "go")),
	}}
	depends := []string{"std"}
	for _, module := range info.Deps {
		component := moduleComponent(module)
		components = append(components, component)
		depends = append(depends, component.BOMRef)
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, []byte(name+"@"+version+"\n"+info.String())).URN()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: created.UTC().Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &depends}}
	var out bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("encoding the bill of materials of %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// settings are the flags of the compiler.
func settings(info *debug.BuildInfo) *[]cyclonedx.Property {
	var all []cyclonedx.Property
	for _, setting := range info.Settings {
		all = append(all, cyclonedx.Property{Name: "go:build:" + strings.TrimLeft(setting.Key, "-"), Value: setting.Value})
	}
	return &all
}

func moduleComponent(module *debug.Module) cyclonedx.Component {
	if module.Replace != nil {
		module = module.Replace
	}
	url := packageURL(module.Path, module.Version)
	component := cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: module.Path, Version: module.Version, PackageURL: url}
	// The line of go.sum is the base64 of a SHA-256 over all files.
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:")); err == nil && len(sum) > 0 {
		component.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	return component
}

func packageURL(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}

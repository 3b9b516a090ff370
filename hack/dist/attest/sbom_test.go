// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// TestSBOM describes the tool itself, and compares with what Go recorded in it.
func TestSBOM(t *testing.T) {
	program := filepath.Join(t.TempDir(), "dist")
	if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	first, err := SBOM(program, "manager", "v0.2.0", created)
	if err != nil {
		t.Fatal(err)
	}
	second, err := SBOM(program, "manager", "v0.2.0", created)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two bills of materials of a program differ")
	}
	var bom cyclonedx.BOM
	if err := json.Unmarshal(first, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cyclonedx.SpecVersion1_6 || bom.Metadata.Timestamp != "2026-03-04T05:06:07Z" || bom.Metadata.Component.Version != "v0.2.0" {
		t.Errorf("the bill of materials is %+v", bom.Metadata)
	}
	versions := map[string]cyclonedx.Component{}
	for _, component := range *bom.Components {
		versions[component.Name] = component
	}
	if versions["std"].Version != info.GoVersion {
		t.Errorf("the standard library is %+v", versions["std"])
	}
	if len(info.Deps) == 0 {
		t.Fatal("Go recorded no modules")
	}
	for _, module := range info.Deps {
		component := versions[module.Path]
		if component.Version != module.Version || !strings.HasPrefix(component.PackageURL, "pkg:golang/"+module.Path+"@") || component.Hashes == nil {
			t.Errorf("%s is %+v", module.Path, component)
		}
	}
	if _, err := SBOM("sbom.go", "manager", "v0.2.0", created); err == nil {
		t.Error("a file that is no program has a bill of materials")
	}
}

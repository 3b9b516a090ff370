// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"strings"
	"testing"
)

// TestProvenanceOfChanges: a checkout with changes has a provenance, which names no digest of
// its sources.
func TestProvenanceOfChanges(t *testing.T) {
	const commit = "740274f835f2940027fef7108bf38d01cb1c47f7"
	for given, hasDigest := range map[string]bool{commit: true, commit + "-dirty": false} {
		raw, err := Provenance(Build{Version: "0.2.0", Registry: "r", Commit: given, GoVersion: "go1"}, map[string]string{"a": strings.Repeat("0", 64)})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(raw), "gitCommit"); got != hasDigest || !strings.Contains(string(raw), commit) {
			t.Errorf("%s: %s", given, raw)
		}
	}
}

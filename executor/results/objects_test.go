// SPDX-License-Identifier: Apache-2.0

package results_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
)

// TestReadRecorded: an object is exactly as long as in its record, and has its digest.
func TestReadRecorded(t *testing.T) {
	dir := t.TempDir()
	sum := sha256.Sum256([]byte("result"))
	recorded := hex.EncodeToString(sum[:])
	for name, test := range map[string]struct {
		content string
		size    int64
		digest  string
		want    error
	}{
		"as recorded":      {"result", 6, recorded, nil},
		"shorter":          {"resul", 6, recorded, results.ErrOtherBytes},
		"empty":            {"", 6, recorded, results.ErrOtherBytes},
		"longer":           {"results", 6, recorded, results.ErrOtherBytes},
		"other bytes":      {"Result", 6, recorded, results.ErrOtherBytes},
		"another digest":   {"result", 6, "", results.ErrOtherBytes},
		"a negative size":  {"result", -1, recorded, results.ErrOtherBytes},
		"a missing object": {"-", 6, recorded, fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, filepath.Base(t.Name()))
			if test.content != "-" {
				if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			asset := contract.AssetUpdate{RemoteURI: "file://" + path, Size: test.size, DigestAlg: "sha256", Digest: test.digest}
			raw, err := results.ReadRecorded(t.Context(), results.Files{}, "file://"+dir, asset)
			if !errors.Is(err, test.want) || err == nil && string(raw) != test.content {
				t.Errorf("got %q, %v; want %v", raw, err, test.want)
			}
		})
	}
}

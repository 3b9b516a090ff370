// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestContractTable: the tests that docs/executor.md names exist.
func TestContractTable(t *testing.T) {
	text, err := os.ReadFile("../docs/executor.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Z][A-Za-z]*)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 40 {
		t.Fatalf("the table names %d tests", len(named))
	}
	var sources strings.Builder
	for _, dir := range []string{".", "../contract", "../test/integration"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			sources.Write(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range named {
		if !strings.Contains(sources.String(), "func "+name[1]+"(t *testing.T)") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

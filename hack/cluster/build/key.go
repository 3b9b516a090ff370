// SPDX-License-Identifier: Apache-2.0

package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// key is a digest of all that decides what a target's binary looks like. A
// binary is current while the key that it was built with is still the key.
func (t Target) key(goVersion string) (string, error) {
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n%s\n%s\n", goVersion, t.Package, t.LDFlags, t.Tags)
	files := t.Sources
	if len(files) == 0 {
		files = []string{filepath.Join(t.ModuleDir, "go.mod"), filepath.Join(t.ModuleDir, "go.sum")}
	}
	for _, file := range files {
		if err := addFile(digest, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func addFile(digest io.Writer, file string) error {
	opened, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading what %s is built from: %w", filepath.Base(filepath.Dir(file)), err)
	}
	defer opened.Close()
	if _, err := io.Copy(digest, opened); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}

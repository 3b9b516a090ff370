// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/image"
)

// Compare returns an error that names every file that differs between two unsigned
// releases.
func Compare(first, second string) error {
	one, err := digests(first)
	if err != nil {
		return err
	}
	two, err := digests(second)
	if err != nil {
		return err
	}
	names := maps.Clone(one)
	maps.Copy(names, two)
	if len(names) == 0 {
		return errors.New("there are no files to compare")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case one[name] == "":
			errs = append(errs, fmt.Errorf("%s is not in %s", name, first))
		case two[name] == "":
			errs = append(errs, fmt.Errorf("%s is not in %s", name, second))
		case one[name] != two[name]:
			errs = append(errs, fmt.Errorf("%s differs", name))
		}
	}
	return errors.Join(errs...)
}

// digests returns the SHA-256 of each file in a folder.
func digests(dir string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[name], err = image.FileDigest(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the release %s: %w", dir, err)
	}
	return all, nil
}

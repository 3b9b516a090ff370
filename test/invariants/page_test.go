// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the repository.
const root = "../.."

var (
	// heading is the heading of an invariant: its code and its name.
	heading = regexp.MustCompile(`^## (I\d{1,2}): (\S.*)$`)
	// reference is how code and tests refer to invariants.
	reference = regexp.MustCompile(`[iI]nvariants?[^.:\n]{0,8} I\d|\(I\d{1,2}(, I\d{1,2})*\)|"I\d{1,2}[":]| is I\d{1,2}[ :]`)
	code      = regexp.MustCompile(`\bI\d{1,2}\b`)
	quoted    = regexp.MustCompile("`([^`]+)`")
	// location is functions of one file in the list of the code.
	location = regexp.MustCompile("^((?:`[A-Za-z_]+`(?:, )?)+) in `([^`]+)`$")
)

// entry is an invariant on the page.
type entry struct {
	name, sentence        string
	code, tests, checkers string
}

// readPage returns the entries of docs/invariants.md by code.
func readPage(t *testing.T) map[string]*entry {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "docs/invariants.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]*entry{}
	var current *entry
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if match := heading.FindStringSubmatch(line); match != nil {
			if entries[match[1]] != nil {
				t.Errorf("%s is on the page twice", match[1])
			}
			current = &entry{name: match[2]}
			entries[match[1]] = current
			continue
		}
		if current == nil {
			continue
		}
		for prefix, field := range map[string]*string{"- Code: ": &current.code, "- Tests: ": &current.tests, "- Checker: ": &current.checkers} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				*field = rest
			}
		}
		if line != "" && !strings.HasPrefix(line, "- ") {
			current.sentence = line
		}
	}
	return entries
}

// readSources returns the text of all source files by their path in the repository.
func readSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if extension := filepath.Ext(path); entry.IsDir() || (extension != ".go" && extension != ".py" && extension != ".sh") {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading a source: %w", err)
		}
		name, err := filepath.Rel(root, path)
		sources[filepath.ToSlash(name)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// declares reports whether a source declares a function, a method or a type.
func declares(source, name string) bool {
	return regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |\s*def |\s*async def )` + name + `\b`).MatchString(source)
}

// TestInvariantsPage: the page has each invariant that the source refers to, and the
// source has each function and test that the page names.
func TestInvariantsPage(t *testing.T) {
	entries, sources := readPage(t), readSources(t)
	if len(entries) < 40 {
		t.Fatalf("the page has %d invariants", len(entries))
	}
	var tests strings.Builder
	for path, source := range sources {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "test_") {
			tests.WriteString(source)
		}
		for _, match := range reference.FindAllStringIndex(source, -1) {
			line, _, _ := strings.Cut(source[match[0]:], "\n")
			for _, code := range code.FindAllString(line, -1) {
				if entries[code] == nil {
					t.Errorf("%s refers to %s, which is not on the page", path, code)
				}
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(entries)) {
		e := entries[code]
		if e.name == "" || e.sentence == "" || e.code == "" || e.tests == "" {
			t.Errorf("%s needs a name, a sentence, its code and its tests: %+v", code, e)
		}
		for part := range strings.SplitSeq(e.code, "; ") {
			match := location.FindStringSubmatch(part)
			if match == nil {
				t.Errorf("%s: the code is not functions in a file: %s", code, part)
				continue
			}
			for _, function := range quoted.FindAllStringSubmatch(match[1], -1) {
				if !declares(sources[match[2]], function[1]) {
					t.Errorf("%s: %s has no %s", code, match[2], function[1])
				}
			}
		}
		for _, name := range quoted.FindAllStringSubmatch(e.tests, -1) {
			if !declares(tests.String(), name[1]) {
				t.Errorf("%s: there is no test %s", code, name[1])
			}
		}
	}
}

// TestInvariantsPageHasAllCheckers: each checker is on the page, below its invariant.
func TestInvariantsPageHasAllCheckers(t *testing.T) {
	entries, sources := readPage(t), readSources(t)
	listed := regexp.MustCompile(`\{"(I\d+)", (\w+)\}`).FindAllStringSubmatch(sources["test/invariants/check.go"], -1)
	if len(listed) != len(checkers) {
		t.Fatalf("found %d of %d checkers in the source", len(listed), len(checkers))
	}
	named := 0
	for _, e := range entries {
		named += len(quoted.FindAllString(e.checkers, -1))
	}
	if named != len(checkers) {
		t.Errorf("the page names %d checkers of %d", named, len(checkers))
	}
	for _, checker := range listed {
		e := entries[checker[1]]
		if e == nil || !strings.Contains(e.checkers, "`"+checker[2]+"`") {
			t.Errorf("%s is not on the page as a checker of %s", checker[2], checker[1])
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the folder of the repository.
const root = "../.."

// read returns the text of a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// pages returns the paths of all pages from the root.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 15 {
		t.Fatalf("found only %q", found)
	}
	return found
}

// named is a function and its file in the text of a page.
var named = regexp.MustCompile("`([A-Za-z_]+)`\\s+in\\s+`([a-z0-9_./]+\\.(?:go|py))`")

// TestNamedFunctions: the functions that the page of the architecture names are in
// their files.
func TestNamedFunctions(t *testing.T) {
	for page, atLeast := range map[string]int{
		"docs/architecture.md": 35, "docs/design/jobs.md": 1, "docs/design/attempts.md": 4, "docs/design/status-from-pods.md": 3,
		"docs/design/evidence.md": 4, "docs/design/gateway.md": 1, "docs/design/admission.md": 2,
	} {
		found := named.FindAllStringSubmatch(read(t, page), -1)
		if len(found) < atLeast {
			t.Errorf("%s names %d functions", page, len(found))
		}
		for _, match := range found {
			declaration := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |\s*(async )?def )` + match[1] + `\b`)
			if !declaration.MatchString(read(t, match[2])) {
				t.Errorf("%s: %s has no %s", page, match[2], match[1])
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	dropped = regexp.MustCompile("[^a-z0-9 _-]")
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	span    = regexp.MustCompile("`[^`\n]*`")
)

// anchors returns the anchors of the headings of a page, as GitHub derives them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range title.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		anchor := dropped.ReplaceAllString(strings.ToLower(match[1]), "")
		found[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	return found
}

// TestLinks: links between pages lead to files and headings that exist.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text := read(t, page)
		for _, match := range link.FindAllStringSubmatch(span.ReplaceAllString(fence.ReplaceAllString(text, ""), ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, ":") {
				continue
			}
			path := page
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, match[1])
				continue
			}
			if anchor != "" && strings.HasSuffix(path, ".md") && !anchors(read(t, path))[anchor] {
				t.Errorf("%s: %s has no heading for #%s", page, path, anchor)
			}
		}
	}
}

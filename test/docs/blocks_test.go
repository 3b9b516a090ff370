// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlocksOf(t *testing.T) {
	const text = "a\n```sh\none\n```\n<!-- not run: why -->\n  ```python\n  two\n\n    three\n  ```\n```\nout\n```\n"
	want := []Block{
		{Page: "p", Line: 2, Language: "sh", Text: "one\n"},
		{Page: "p", Line: 6, Language: "python", Text: "two\n\n  three\n", NotRun: "why"},
		{Page: "p", Line: 11, Text: "out\n"},
	}
	got, err := blocksOf("p", text)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, text := range map[string]string{
		"a marker above text":     "<!-- not run: why -->\ntext\n```sh\n```\n",
		"a block that never ends": "```sh\ntrue\n",
	} {
		if _, err := blocksOf("p", text); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

// TestLanguages: each block is in a language of which it is known whether tests run it:
// TestCommandsOfTheDocumentation in test/e2e runs sh, test_documentation.py in
// python/tests/e2e runs python, and TestManifestsOfTheDocumentation in api/v1alpha1
// validates yaml. The others are output.
func TestLanguages(t *testing.T) {
	found, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	commands, output := []string{"sh", "python", "yaml"}, []string{"", "console", "json", "mermaid"}
	for _, block := range found {
		switch {
		case slices.Contains(commands, block.Language):
		case !slices.Contains(output, block.Language):
			t.Errorf("%s: use one of %q or %q instead of %q", block, commands, output, block.Language)
		case block.NotRun != "":
			t.Errorf("%s: output is never run: it needs no marker", block)
		}
	}
}

// TestBlocksRunOrSay: of the blocks with commands, some run and all others have a reason.
func TestBlocksRunOrSay(t *testing.T) {
	for language, atLeast := range map[string]int{"sh": 4, "python": 2, "yaml": 4} {
		found, err := Blocks(root, language)
		if err != nil {
			t.Fatal(err)
		}
		run := 0
		for _, block := range found {
			if block.NotRun == "" {
				run++
			}
		}
		if run < atLeast {
			t.Errorf("only %d of %d blocks in %s run", run, len(found), language)
		}
	}
}

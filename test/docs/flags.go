// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Flag is one flag of a program, as its help shows it.
type Flag struct {
	Name, Default, Usage string
}

var (
	// helpEntry is a flag in the help of package flag: its name, and in the next line its
	// usage, perhaps with a default.
	helpEntry = regexp.MustCompile(`(?m)^  -(\S+)(?: \S+)?(?:\n    \t|\t)(.*)$`)
	defaulted = regexp.MustCompile(`^(.*) \(default (.*)\)$`)
)

// HelpFlags returns the flags in the help of package flag.
func HelpFlags(help string) []Flag {
	var flags []Flag
	for _, match := range helpEntry.FindAllStringSubmatch(help, -1) {
		flag := Flag{Name: match[1], Usage: match[2]}
		for parts := defaulted.FindStringSubmatch(flag.Usage); parts != nil; parts = defaulted.FindStringSubmatch(flag.Usage) {
			flag.Usage, flag.Default = parts[1], strings.Trim(parts[2], `"`)
		}
		flags = append(flags, flag)
	}
	return flags
}

// FlagTable returns the table of flags in Markdown.
func FlagTable(flags []Flag) string {
	var table strings.Builder
	table.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, flag := range flags {
		value := ""
		if flag.Default != "" {
			value = "`" + flag.Default + "`"
		}
		fmt.Fprintf(&table, "| `--%s` | %s | %s |\n", flag.Name, value, strings.ReplaceAll(flag.Usage, "|", `\|`))
	}
	return table.String()
}

// CompareFlags returns an error if a page does not have the table of the flags of a
// program between its markers. With update, it writes the table there.
func CompareFlags(page, program string, flags []Flag, update bool) error {
	return compareTable(page, "flags", program, FlagTable(flags), update)
}

// compareTable compares or replaces a table between the markers of a kind and a program.
func compareTable(page, kind, program, table string, update bool) error {
	raw, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	begin, end := "<!-- "+kind+" of "+program+" -->\n", "<!-- end of "+kind+" -->\n"
	before, rest, found := strings.Cut(string(raw), begin)
	stored, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		return fmt.Errorf("%s has no table between %q and %q", page, begin, end)
	}
	want := table + "\n"
	if stored == want {
		return nil
	}
	if update {
		return os.WriteFile(page, []byte(before+begin+want+end+after), 0o644)
	}
	return fmt.Errorf("the table of %s in %s is not current, run the test with -update; want\n%s\ngot\n%s", program, page, want, stored)
}

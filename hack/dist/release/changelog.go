// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"regexp"
)

// CheckChangelog returns whether the changelog has a section of the version. It returns
// an error if it has neither this section nor one of unreleased changes.
func CheckChangelog(changelog, version string) (bool, error) {
	section := func(title string) bool {
		return regexp.MustCompile(`(?m)^## \[?v?` + regexp.QuoteMeta(title) + `\]?( .*)?$`).MatchString(changelog)
	}
	if section(version) {
		return true, nil
	}
	if section("Unreleased") {
		return false, nil
	}
	return false, fmt.Errorf("CHANGELOG.md has no section %q", "## "+version)
}

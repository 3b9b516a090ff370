// SPDX-License-Identifier: Apache-2.0

package release

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Options)
		want   string
	}{
		"complete":                  {func(*Options) {}, ""},
		"a candidate":               {func(o *Options) { o.Version = "0.2.0-rc.1" }, ""},
		"a commit as version":       {func(o *Options) { o.Version = "2505c8e" }, "0.2.0-rc.1"},
		"a version without patch":   {func(o *Options) { o.Version = "0.2" }, "0.2.0-rc.1"},
		"a version not of Python":   {func(o *Options) { o.Version = "0.2.0-5-g2505c8e" }, "Python"},
		"a registry with a slash":   {func(o *Options) { o.Registry += "/" }, "registry"},
		"sources without a commit":  {func(o *Options) { o.Commit = "" }, "commit"},
		"a commit without its time": {func(o *Options) { o.Created = time.Time{} }, "commit"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := options("")
			test.change(&o)
			err := o.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestPythonVersion(t *testing.T) {
	for version, want := range map[string]string{"0.2.0": "0.2.0", "0.2.0-alpha.1": "0.2.0a1", "0.2.0-beta.12": "0.2.0b12", "1.0.0-rc.1": "1.0.0rc1"} {
		if got, err := pythonVersion(version); err != nil || got != want {
			t.Errorf("pythonVersion(%s) = %s, %v", version, got, err)
		}
	}
}

func TestCheckChangelog(t *testing.T) {
	tests := map[string]struct {
		changelog string
		released  bool
		fails     bool
	}{
		"a section of the version":         {"# Changelog\n\n## Unreleased\n\n## 0.2.0\n- a\n", true, false},
		"a section with a date":            {"## [v0.2.0] - 2026-03-01\n", true, false},
		"unreleased":                       {"## Unreleased\n- a\n", false, false},
		"a section of another version":     {"## 0.1.0\n", false, true},
		"a version that begins like it":    {"## 0.2.01\n", false, true},
		"a version that is only mentioned": {"see 0.2.0\n", false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			released, err := CheckChangelog(test.changelog, "0.2.0")
			if released != test.released || (err != nil) != test.fails {
				t.Errorf("got %t, %v", released, err)
			}
		})
	}
}

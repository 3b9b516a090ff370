// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

func TestBelow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		location, uri string
		want          bool
	}{
		"an object":                {"s3://b/out/uid", "s3://b/out/uid/a1/0/output", true},
		"a slash at the end":       {"s3://b/out/uid/", "s3://b/out/uid/a1/0/output", true},
		"spaces":                   {"s3://b/out dir/uid", "s3://b/out dir/uid/a1/0/output", true},
		"an access point":          {"s3://arn:aws:s3:eu-central-1:1:accesspoint/n/o", "s3://arn:aws:s3:eu-central-1:1:accesspoint/n/o/a", true},
		"a file":                   {"file:///data/uid", "file:///data/uid/a1/0/output", true},
		"a percent sign":           {"s3://b/out", "s3://b/out/100%", true},
		"the location itself":      {"s3://b/out", "s3://b/out", false},
		"the folder":               {"s3://b/out", "s3://b/out/", false},
		"a longer name":            {"s3://b/out", "s3://b/out2/a", false},
		"another host":             {"http://h/out", "http://h2/out/a", false},
		"another case":             {"http://h/out", "http://H/out/a", false},
		"another scheme":           {"https://h/out", "http://h/out/a", false},
		"a host that is a prefix":  {"http://h", "http://h.evil/a", false},
		"a user":                   {"http://h/out", "http://h@evil/out/a", false},
		"dots":                     {"s3://b/out", "s3://b/out/../a", false},
		"dots at the end":          {"s3://b/out", "s3://b/out/a/..", false},
		"a dot":                    {"s3://b/out", "s3://b/out/./a", false},
		"escaped dots":             {"http://h/out", "http://h/out/%2e%2E/a", false},
		"half escaped dots":        {"http://h/out", "http://h/out/.%2e/a", false},
		"dots escaped twice":       {"http://h/out", "http://h/out/%252e%252e/a", false},
		"an escaped slash":         {"http://h/out", "http://h/out/a%2f..%2f..%2fb", false},
		"two slashes":              {"http://h/out", "http://h/out//a", false},
		"dots after a bad escape":  {"http://h/out", "http://h/out/%/%2e%2e/a", false},
		"a query":                  {"http://h/out", "http://h/out/a?b", false},
		"an escaped query":         {"http://h/out", "http://h/out/a%3fb", false},
		"a fragment":               {"http://h/out", "http://h/out/a#b", false},
		"a backslash":              {"file:///out", `file:///out/..\a`, false},
		"an escaped backslash":     {"http://h/out", "http://h/out/..%5ca", false},
		"a line break":             {"http://h/out", "http://h/out/a\nb", false},
		"NUL, escaped":             {"file:///out", "file:///out/a%00", false},
		"no location":              {"", "/etc/passwd", false},
		"the root of all files":    {"file:///", "file:///etc/passwd", false},
		"a location without a URI": {"/out", "/out/a", false},
		"a location with a query":  {"http://h/?x=", "http://h/?x=/a", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := store.Below(test.location, test.uri); (err == nil) != test.want {
				t.Errorf("Below(%q, %q) = %v", test.location, test.uri, err)
			}
		})
	}
}

// FuzzBelow compares Below with what a server, a proxy and a file system resolve.
func FuzzBelow(f *testing.F) {
	for _, rest := range []string{"a1/0/output", "../a", "%2e%2e/a", "%252e%252e/a", "a/..", `..\a`, "a?b", "a#b", "//a", ".", "%2f..%2f..", "a%00"} {
		f.Add("http://h/out", "http://h/out/"+rest)
		f.Add("file:///out/uid", "file:///out/uid/"+rest)
	}
	f.Add("http://h", "http://h.evil/a")
	f.Fuzz(func(t *testing.T, location, uri string) {
		if store.Below(location, uri) != nil {
			return
		}
		root := strings.TrimRight(location, "/") + "/"
		rest, ok := strings.CutPrefix(uri, root)
		if !ok {
			t.Fatalf("%q does not have the prefix %q", uri, root)
		}
		for range 10 {
			if clean := path.Join("/root", rest); !strings.HasPrefix(clean, "/root/") || strings.ContainsAny(rest, "?#\\\x00\r\n") {
				t.Fatalf("%q is resolved to %q", uri, clean)
			}
			rest = regexp.MustCompile("%[0-9A-Fa-f][0-9A-Fa-f]").ReplaceAllStringFunc(rest, func(escape string) string {
				code, _ := strconv.ParseUint(escape[1:], 16, 8)
				return string(rune(code))
			})
		}
	})
}

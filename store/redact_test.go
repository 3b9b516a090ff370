// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

func TestRedact(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no URI":             {"no such file", "no such file"},
		"nothing secret":     {"s3://b/a/k: 404 Not Found", "s3://b/a/k: 404 Not Found"},
		"signed":             {"https://h/k?X-Amz-Signature=abc&b=c: 403", "https://h/k?REDACTED 403"},
		"in quotes":          {`Get "https://h/k?sig=abc": EOF`, `Get "https://h/k?REDACTED": EOF`},
		"password":           {"http://user:pass@h/k", "http://REDACTED@h/k"},
		"an at sign in both": {"http://u:p@ss@h/k@l", "http://REDACTED@h/k@l"},
		"two":                {"from https://a/?x to https://b/?y", "from https://a/?REDACTED to https://b/?REDACTED"},
		"outside of a URI":   {"bad query X-Amz-Signature=abc&x=y", "bad query X-Amz-Signature=REDACTED&x=y"},
		"an empty query":     {"https://h/k?", "https://h/k?"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := store.Redact(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzRedact puts secrets where URIs carry them.
func FuzzRedact(f *testing.F) {
	f.Add("s3", "bucket", "/key", "GET ", ": 403")
	f.Add("https", "h:80", "//a@b/", "\"", "\" é")
	f.Fuzz(func(t *testing.T, scheme, host, path, before, after string) {
		const secret = "hunter2CANARY"
		if scheme == "" || strings.ContainsFunc(scheme, func(r rune) bool { return r < 'a' || r > 'z' }) ||
			strings.ContainsAny(host+path, " \t\n\r\f\v\"'<>/?#") || strings.Contains(before+after+host+path+scheme, secret) {
			t.Skip()
		}
		uri := scheme + "://user:" + secret + "@" + host + "/" + path + "?sig=" + secret
		for name, got := range map[string]string{"Redact": store.Redact(before + " " + uri + " " + after), "RedactURI": store.RedactURI(uri)} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: %q", name, got)
			}
		}
		if again := store.Redact(store.Redact(uri)); again != store.Redact(uri) {
			t.Errorf("not stable: %q", again)
		}
	})
}

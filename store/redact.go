// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"regexp"
	"strings"
)

// redacted replaces secrets.
const redacted = "REDACTED"

var (
	// uriPattern is a URI within a text: up to a space or a quote.
	uriPattern = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]*`)
	// secretPattern matches a parameter whose value is a secret, anywhere in a text.
	secretPattern = regexp.MustCompile(`(?i)((?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|signature|sig|awsaccesskeyid|access_token|token|secret|password)=)[^&\s"'<>]+`)
)

// Redact removes the secrets from a text: user and password, and the query of
// every URI in it, since a signed one is as good as a password.
func Redact(text string) string {
	text = uriPattern.ReplaceAllStringFunc(text, RedactURI)
	return secretPattern.ReplaceAllString(text, "${1}"+redacted)
}

// RedactURI removes the secrets from a text that is one URI, whatever it contains.
func RedactURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return Redact(uri)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = redacted + authority[at:]
	}
	if query := strings.IndexByte(path, '?'); query >= 0 && query < len(path)-1 {
		path = path[:query+1] + redacted
	}
	return scheme + "://" + authority + path
}

// explain adds the URI to an error, and removes secrets from it.
func explain(uri string, err error) error {
	return &explained{text: RedactURI(uri) + ": " + Redact(err.Error()), err: err}
}

// explained has a text of its own and matches an error.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// CheckOutputs refuses a location for results with a secret in it: the manifest
// records every URI below it.
func CheckOutputs(uri string) error {
	if RedactURI(uri) != uri {
		return fmt.Errorf("%s: outputs with a user, a password or a query: their URIs are recorded, give credentials in spec.pod", RedactURI(uri))
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"net/url"
	"strings"
)

// parse reads a URL so that it is sent as it is written. Characters that no
// request can contain are encoded in the path, and refused in the query.
func parse(text string) (*url.URL, error) {
	text, _, _ = strings.Cut(text, "#")
	target, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("malformed URL")
	case target.Host == "":
		return nil, errors.New("a URL without a host")
	case strings.ContainsFunc(target.RawQuery, unprintable):
		return nil, errors.New("a URL with a space or a character beyond ASCII in its query: write it as %XX")
	}
	_, rest, _ := strings.Cut(text, "://")
	path := ""
	if slash := strings.IndexAny(rest, "/?"); slash >= 0 && rest[slash] == '/' {
		path, _, _ = strings.Cut(rest[slash:], "?")
	}
	// net/url would encode some characters again. Opaque is sent as it is, except
	// for one that begins with two slashes.
	if path != target.EscapedPath() && !strings.ContainsFunc(path, unprintable) && !strings.HasPrefix(path, "//") {
		target.Opaque = path
	}
	return target, nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

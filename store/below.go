// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// escapePattern matches an escaped byte. A percent sign without digits is a character
// of a key.
var escapePattern = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

var errNotBelow = errors.New("the URI is not below the location")

// Below returns an error unless a URI is of an object below a location, such as the
// folder of a group, however a store resolves the two. A task can write any URI into
// its record, and the reader may have permissions that the task does not have.
//
// The URI has to have the location as a prefix, byte for byte, so that scheme, host,
// bucket and case are equal. The rest may have no segment that is empty, . or .., also
// if escaped once or several times; and no query, fragment, backslash or control
// character. Symbolic links are the business of who opens files: see os.Root.
func Below(location, uri string) error {
	location = strings.TrimRight(location, "/")
	rest, ok := strings.CutPrefix(uri, location+"/")
	if !ok || !hasPath(location) {
		return fmt.Errorf("%w: %s, %s", errNotBelow, RedactURI(uri), RedactURI(location))
	}
	if !isPlainPath(rest) {
		return fmt.Errorf("%w: %s has a part that a store may resolve to another object", errNotBelow, RedactURI(uri))
	}
	return nil
}

// hasPath reports whether a location has a host or a path, so that a prefix of it ends
// at a slash of the path.
func hasPath(location string) bool {
	scheme, rest, ok := strings.Cut(location, "://")
	return ok && scheme != "" && strings.Trim(rest, "/") != "" && !strings.ContainsAny(rest, "?#\\")
}

// isPlainPath reports whether a path names the same object for every store.
func isPlainPath(path string) bool {
	// A proxy may decode a path before a server decodes it again.
	for {
		if strings.ContainsAny(path, "?#\\") || strings.ContainsFunc(path, isControl) {
			return false
		}
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "" || segment == "." || segment == ".." {
				return false
			}
		}
		decoded := escapePattern.ReplaceAllStringFunc(path, func(escape string) string {
			code, _ := strconv.ParseUint(escape[1:], 16, 8)
			return string([]byte{byte(code)})
		})
		if decoded == path {
			return true
		}
		path = decoded
	}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

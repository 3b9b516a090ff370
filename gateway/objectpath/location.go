// SPDX-License-Identifier: Apache-2.0

package objectpath

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// maxPath bounds a whole path, and maxSegment a part of it: file systems allow 255
	// bytes.
	maxPath, maxSegment = 1024, 128
	// maxDepth bounds the folders of an object below its attempt.
	maxDepth = 8
	// maxNamespace is the length of a DNS label.
	maxNamespace = 63
	// digestDigits is the length of a SHA-256 in hexadecimal.
	digestDigits = 64
)

var (
	errTooLong   = fmt.Errorf("the path has more than %d bytes", maxPath)
	errPrefix    = errors.New("the path does not begin with " + contract.GatewayPrefix)
	errNamespace = errors.New("the namespace is not a DNS label")
	errArea      = errors.New("the path is neither content/<sha256> nor groups/<uid>/a<attempt>/<name>")
	errDigest    = errors.New("the digest is not a SHA-256 in lower-case hexadecimal")
	errUID       = errors.New("the UID is not a UID of Kubernetes")
	errAttempt   = errors.New("the attempt is not a<number>")
	errDepth     = fmt.Errorf("the name has more than %d parts", maxDepth)
	errSegment   = fmt.Errorf("a part of the name is not 1 to %d letters, digits, dots, dashes and underscores that begin with a letter or a digit", maxSegment)
)

// Location is where an object is. The zero value is no location.
type Location struct {
	Namespace string
	// Digest is the SHA-256 of an object of the area content; empty for results.
	Digest string
	// UID and Attempt identify the attempt of the TaskGroup that has the result.
	UID     string
	Attempt int32
	// Name is the rest of the path of a result.
	Name string
}

// IsContent reports whether the object is named by its digest.
func (l *Location) IsContent() bool { return l.Digest != "" }

// Path returns the path below the namespace.
func (l *Location) Path() string {
	if l.IsContent() {
		return contract.GatewayContent + "/" + l.Digest
	}
	return contract.GatewayGroups + "/" + l.UID + "/a" + strconv.Itoa(int(l.Attempt)) + "/" + l.Name
}

// URI returns the URI of the object.
func (l *Location) URI() string {
	return contract.GatewayScheme + "://" + l.Namespace + "/" + l.Path()
}

// Parse reads the path of a request as it was sent, without decoding it: every object
// has exactly one path. An escape is refused like any other character that no object's
// name has, so that no server and no proxy can decode a path to another object.
func Parse(path string) (Location, error) {
	if len(path) > maxPath {
		return Location{}, errTooLong
	}
	rest, ok := strings.CutPrefix(path, contract.GatewayPrefix)
	if !ok {
		return Location{}, errPrefix
	}
	namespace, rest, _ := strings.Cut(rest, "/")
	if !isLabel(namespace) {
		return Location{}, errNamespace
	}
	area, rest, _ := strings.Cut(rest, "/")
	l := Location{Namespace: namespace}
	switch area {
	case contract.GatewayContent:
		l.Digest = rest
		if len(rest) != digestDigits || !consistsOf(rest, isHex) {
			return Location{}, errDigest
		}
		return l, nil
	case contract.GatewayGroups:
		return parseResult(l, rest)
	}
	return Location{}, errArea
}

// parseResult reads <uid>/a<attempt>/<name>.
func parseResult(l Location, rest string) (Location, error) {
	var attempt string
	l.UID, rest, _ = strings.Cut(rest, "/")
	if !isLabel(l.UID) {
		return Location{}, errUID
	}
	attempt, l.Name, _ = strings.Cut(rest, "/")
	digits, ok := strings.CutPrefix(attempt, "a")
	number, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || number < 1 || strconv.FormatInt(number, 10) != digits {
		return Location{}, errAttempt
	}
	l.Attempt = int32(number)
	depth := 0
	for segment := range strings.SplitSeq(l.Name, "/") {
		if depth++; depth > maxDepth {
			return Location{}, errDepth
		}
		if len(segment) < 1 || len(segment) > maxSegment || !isAlphanumeric(segment[0]) || !consistsOf(segment, isNameByte) {
			return Location{}, errSegment
		}
	}
	return l, nil
}

// isLabel reports whether a text is a DNS label, as namespaces are. UIDs are labels, too.
func isLabel(text string) bool {
	return text != "" && len(text) <= maxNamespace && consistsOf(text, isLabelByte) && text[0] != '-' && text[len(text)-1] != '-'
}

func consistsOf(text string, is func(byte) bool) bool {
	for i := range len(text) {
		if !is(text[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

func isLabelByte(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' }

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isNameByte(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' || c == '_' }

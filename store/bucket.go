// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// maxKey is what S3, GCS and Azure allow for a key, in bytes.
const maxKey = 1024

// Bucket splits scheme://bucket/key. The key is all after the bucket's slash,
// not decoded: a key may contain any character, and % and ? are characters.
func Bucket(uri string) (bucket, key string, err error) {
	_, rest, _ := strings.Cut(uri, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	if strings.ContainsAny(bucket, "@:?#%\\") {
		return "", "", errors.New("a bucket's name has letters, digits, dots, dashes and underscores only")
	}
	return bucket, key, CheckKey(bucket, key)
}

// CheckKey returns an error for a key that not every store can have.
func CheckKey(bucket, key string) error {
	switch {
	case bucket == "" || key == "":
		return errors.New("want scheme://bucket/key")
	case len(key) > maxKey:
		return errors.New("a key of more than 1,024 bytes")
	case !utf8.ValidString(key):
		return errors.New("a key that is not UTF-8")
	case HasDotSegments(key):
		return errors.New("a key with . or .. as a part of its path")
	}
	return nil
}

// HasDotSegments reports whether a path has . or .. as a part of it: servers, proxies and
// clients resolve them to another path, each in its own way.
func HasDotSegments(key string) bool {
	for part := range strings.SplitSeq(key, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

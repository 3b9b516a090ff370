// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// SignedURLsVersion is the version of the SignedURLs' shape that this package writes.
	SignedURLsVersion = 1
	// SignedURLsDir is where a pod finds the Secret with its group's signed URLs, if
	// its group has one.
	SignedURLsDir = "/var/run/secrets/kubernetes.covalent.xyz/urls"
	// SignedURLsKey is the file in it.
	SignedURLsKey = "urls.json.gz"
	// MaxSignedURLs bounds the encoded URLs of a group, in bytes. A Secret takes 1 MiB
	// (k8s.io/api/core/v1, MaxSecretSize).
	MaxSignedURLs = 1 << 20
	// maxDecodedURLs bounds what decoding may unpack.
	maxDecodedURLs = 32 << 20
)

// ErrSignedURLsTooLarge reports that a group's signed URLs do not fit in a Secret.
var ErrSignedURLsTooLarge = errors.New("the group's signed URLs do not fit in a Secret")

// Access is what a signed URL allows its holder.
type Access string

// The kinds of access.
const (
	// AccessGet reads an object.
	AccessGet Access = "get"
	// AccessPut writes an object, and replaces an existing one.
	AccessPut Access = "put"
	// AccessCreate writes an object where there is none: the header
	// If-None-Match: * is part of what was signed, so that no holder can leave it out.
	AccessCreate Access = "create"
)

// Permission is one kind of access to one object.
type Permission struct {
	Access Access
	URI    string
}

// SignedURLs are the URLs by which the pods of a group reach its objects without a
// credential of the store. Each is as good as a password for its one Permission:
// they are in a Secret and nowhere else.
type SignedURLs struct {
	Version int `json:"version"`
	// UID is the UID of the TaskGroup object.
	UID string `json:"uid"`
	// Until is when they cease to be valid.
	Until time.Time `json:"until"`
	Forms []urlForm `json:"forms"`

	// place is a URI below which objects share a form.
	place string
}

// urlForm is what URLs have in common. The URL of Prefix+tail is
// Base + tail + Query + Signatures[tail].
type urlForm struct {
	Access Access `json:"access"`
	Prefix string `json:"prefix"`
	Base   string `json:"base"`
	// Query is from the question mark to the last equals sign.
	Query      string            `json:"query"`
	Signatures map[string]string `json:"signatures"`
}

// NewSignedURLs makes an empty set. What is below place, a URI, takes little room.
func NewSignedURLs(uid, place string, until time.Time) *SignedURLs {
	return &SignedURLs{Version: SignedURLsVersion, UID: uid, Until: until.UTC(), place: strings.TrimRight(place, "/") + "/"}
}

// Add notes the URL of a permission. The URL has a query that ends with the
// signature, as those of AWS Signature Version 4 do.
func (s *SignedURLs) Add(p Permission, url string) error {
	path, _, ok := strings.Cut(url, "?")
	equals := strings.LastIndexByte(url, '=')
	if !ok || equals < len(path) {
		return fmt.Errorf("%s: its signed URL has no query", p.URI)
	}
	form := urlForm{Access: p.Access, Prefix: p.URI, Base: path, Query: url[len(path) : equals+1]}
	tail, below := strings.CutPrefix(p.URI, s.place)
	if base, same := strings.CutSuffix(path, "/"+tail); below && same {
		form.Prefix, form.Base = s.place, base+"/"
	} else {
		tail = ""
	}
	for i := range s.Forms {
		f := &s.Forms[i]
		if f.Access == form.Access && f.Prefix == form.Prefix && f.Base == form.Base && f.Query == form.Query {
			f.Signatures[tail] = url[equals+1:]
			return nil
		}
	}
	form.Signatures = map[string]string{tail: url[equals+1:]}
	s.Forms = append(s.Forms, form)
	return nil
}

// URL is the URL of a permission, if it was given.
func (s *SignedURLs) URL(p Permission) (string, bool) {
	for i := range s.Forms {
		f := &s.Forms[i]
		tail, ok := strings.CutPrefix(p.URI, f.Prefix)
		if f.Access != p.Access || !ok {
			continue
		}
		if signature, ok := f.Signatures[tail]; ok {
			return f.Base + tail + f.Query + signature, true
		}
	}
	return "", false
}

// Encode packs them for the Secret: JSON, gzip. It returns ErrSignedURLsTooLarge
// where the result would exceed MaxSignedURLs.
func (s *SignedURLs) Encode() ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding the signed URLs: %w", err)
	}
	var packed bytes.Buffer
	zip := compressors.Get().(*gzip.Writer)
	defer compressors.Put(zip)
	zip.Reset(&packed)
	if _, err := zip.Write(raw); err != nil {
		return nil, fmt.Errorf("compressing the signed URLs: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("compressing the signed URLs: %w", err)
	}
	if packed.Len() > MaxSignedURLs || len(raw) > maxDecodedURLs {
		return nil, fmt.Errorf("%w: %d bytes compressed, at most %d", ErrSignedURLsTooLarge, packed.Len(), MaxSignedURLs)
	}
	return packed.Bytes(), nil
}

// DecodeSignedURLs reads what Encode wrote. It refuses a version it does not know.
// Its errors hold no part of a URL.
func DecodeSignedURLs(packed []byte) (*SignedURLs, error) {
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking the signed URLs: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(zip, maxDecodedURLs+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the signed URLs: %w", err)
	}
	if len(raw) > maxDecodedURLs {
		return nil, fmt.Errorf("unpacking the signed URLs: more than %d bytes", maxDecodedURLs)
	}
	var s SignedURLs
	if json.Unmarshal(raw, &s) != nil {
		// Its own words may quote what is in it.
		return nil, errors.New("decoding the signed URLs: malformed JSON")
	}
	if s.Version != SignedURLsVersion {
		return nil, fmt.Errorf("decoding the signed URLs: version %d, this runner knows %d: use an executor of the operator's release", s.Version, SignedURLsVersion)
	}
	return &s, nil
}

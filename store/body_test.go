// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestBodyIsReadAgain(t *testing.T) {
	data := []byte(strings.Repeat("0123456789", 100))
	drain := func(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
	tests := map[string]func(b *Body){
		"once":               func(b *Body) { drain(b.Reader()) },
		"after a broken try": func(b *Body) { drain(io.LimitReader(b.Reader(), 5)); drain(b.Reader()) },
		"signed first": func(b *Body) {
			r := b.Reader()
			_, _ = r.Seek(0, io.SeekEnd)
			_, _ = r.Seek(0, io.SeekStart)
			drain(r)
			_, _ = r.Seek(0, io.SeekStart)
			drain(r)
		},
		"in parts": func(b *Body) { drain(b.Part(0, 300)); drain(b.Part(300, 300)); drain(b.Part(600, 1000)) },
		"in parts, each tried twice": func(b *Body) {
			for offset := int64(0); offset < 1000; offset += 300 {
				drain(io.LimitReader(b.Part(offset, 300), 7))
				r := b.Part(offset, 300)
				drain(r)
				_, _ = r.Seek(0, io.SeekStart)
				drain(r)
			}
		},
		"an upload that begins again": func(b *Body) { drain(b.Part(0, 300)); drain(b.Part(300, 10)); drain(b.Reader()) },
	}
	for name, read := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := newBody(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			read(body)
			if got, err := body.digest(); err != nil || got != hexSum(data) {
				t.Errorf("digest %s, %v", got, err)
			}
		})
	}
}

func TestBodyThatWasNotReadHasNoDigest(t *testing.T) {
	body, _ := newBody(strings.NewReader("abc"))
	_, _ = body.Reader().Read(make([]byte, 2))
	if got, err := body.digest(); !errors.Is(err, errChanged) {
		t.Errorf("digest %s, %v", got, err)
	}
}

func TestReaderThatWasGivenUpReadsNothing(t *testing.T) {
	body, _ := newBody(strings.NewReader("abc"))
	old := body.Reader()
	_ = body.Reader()
	if n, err := old.Read(make([]byte, 2)); n != 0 || !errors.Is(err, errRevoked) {
		t.Errorf("read %d, %v", n, err)
	}
	if _, err := old.Seek(0, io.SeekStart); !errors.Is(err, errRevoked) {
		t.Errorf("seek: %v", err)
	}
}

// shrinking is a file that is cut while it is read.
type shrinking struct{ *strings.Reader }

func (s shrinking) Read([]byte) (int, error) { return 0, io.EOF }

func TestFileThatShrinks(t *testing.T) {
	body, _ := newBody(shrinking{strings.NewReader("abc")})
	if _, err := io.ReadAll(body.Reader()); !errors.Is(err, errChanged) {
		t.Errorf("error %v", err)
	}
}

func TestStreamThatIsTooLargeToKeep(t *testing.T) {
	if _, err := newBody(io.LimitReader(zeroes{}, maxKept+1)); !errors.Is(err, errTooLarge) {
		t.Errorf("error %v", err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

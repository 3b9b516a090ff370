// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"io"
	"unicode/utf8"
)

// text makes the bytes of a stream valid UTF-8. Covalent reads the streams of functions as
// text, and one byte that is not UTF-8 would make all results of a dispatch unreadable.
// Such bytes become backslash escapes, for example \xe9, as with Python's
// errors="backslashreplace". A character may be split over several reads.
type text struct {
	// pending are the first bytes of a character that is not complete.
	pending []byte
	// joined and valid are reused.
	joined, valid []byte
}

// next returns the text of the bytes that follow, except for an incomplete character at
// their end. The result is valid until the next call, and may be p itself.
func (t *text) next(p []byte) []byte {
	if len(t.pending) == 0 && utf8.Valid(p) {
		return p
	}
	t.joined = append(append(t.joined[:0], t.pending...), p...)
	t.pending, t.valid = t.pending[:0], t.valid[:0]
	for rest := t.joined; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r != utf8.RuneError || size > 1:
			t.valid = append(t.valid, rest[:size]...)
		case !utf8.FullRune(rest):
			t.pending = append(t.pending, rest...)
			return t.valid
		default:
			t.valid = escaped(t.valid, rest[0])
		}
		rest = rest[size:]
	}
	return t.valid
}

// end returns the text of a character that was never completed.
func (t *text) end() []byte {
	t.valid = t.valid[:0]
	for _, b := range t.pending {
		t.valid = escaped(t.valid, b)
	}
	t.pending = t.pending[:0]
	return t.valid
}

func escaped(to []byte, b byte) []byte {
	const digits = "0123456789abcdef"
	return append(to, '\\', 'x', digits[b>>4], digits[b&0xf])
}

// renew makes later calls leave the last result alone.
func (t *text) renew() { t.valid, t.joined = nil, nil }

// textWriter writes the text of bytes, except for an incomplete character at their end.
type textWriter struct {
	w    io.Writer
	text text
}

func (t *textWriter) Write(p []byte) (int, error) {
	if _, err := t.w.Write(t.text.next(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// continuation returns how many bytes of a character that began earlier p begins with. In
// bytes that are no text there are none.
func continuation(p []byte) int {
	for i, c := range p[:min(len(p), utf8.UTFMax)] {
		if utf8.RuneStart(c) {
			return i
		}
	}
	return 0
}

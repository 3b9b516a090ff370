// SPDX-License-Identifier: Apache-2.0

package stream_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

// python is what bytes(...).decode("utf-8", "backslashreplace") returns.
func python(raw string) string {
	var out strings.Builder
	for len(raw) > 0 {
		r, size := utf8.DecodeRuneInString(raw)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&out, `\x%02x`, raw[0])
		} else {
			out.WriteString(raw[:size])
		}
		raw = raw[size:]
	}
	return out.String()
}

// TestTextOfAFunction: the expected texts are Python's.
func TestTextOfAFunction(t *testing.T) {
	for name, test := range map[string]struct{ raw, want string }{
		"nothing":                 {"", ""},
		"UTF-8":                   {"größe €\U0001F600\n", "größe €\U0001F600\n"},
		"Latin-1":                 {"caf\xe9\n", `caf\xe9` + "\n"},
		"a character that is cut": {"\xe2\x82", `\xe2\x82`},
		"and text after it":       {"\xe2\x82A\xf0\x9f\x98B", `\xe2\x82A\xf0\x9f\x98B`},
		"continuation bytes":      {"\x80\xbf", `\x80\xbf`},
		"overlong":                {"\xc0\x80\xe0\x80\x80", `\xc0\x80\xe0\x80\x80`},
		"surrogates":              {"\xed\xa0\x80", `\xed\xa0\x80`},
		"beyond Unicode":          {"\xf4\x90\x80\x80\xff", `\xf4\x90\x80\x80\xff`},
		"a replacement character": {"�", "�"},
		"zeros and backslashes":   {"\x00\\x41", "\x00\\x41"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := python(test.raw); got != test.want {
				t.Fatalf("the test's own text is %q, want %q", got, test.want)
			}
			for chunk := 1; chunk <= len(test.raw)+1; chunk++ {
				if got := stream.TextOf(test.raw, chunk); got != test.want {
					t.Errorf("in chunks of %d: %q, want %q", chunk, got, test.want)
				}
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("caf\xe9 €\U0001F600\xe2\x82"), 1)
	f.Add([]byte("\xf0\x9f\x98\x80\xf0\x9f"), 3)
	f.Fuzz(func(t *testing.T, raw []byte, chunk int) {
		chunk = max(1, chunk)
		got := stream.TextOf(string(raw), chunk)
		if !utf8.ValidString(got) || got != python(string(raw)) {
			t.Errorf("%q in chunks of %d: %q", raw, chunk, got)
		}
	})
}

// TestTextStreams: the file, its length and the log agree with the text.
func TestTextStreams(t *testing.T) {
	for name, raw := range map[string]string{
		"ends within a character": "caf\xe9 \xf0\x9f\x98",
		"more than one read":      strings.Repeat("€\xff", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			c := start(t, stream.Config{Tee: &log, Text: true})
			for rest := raw; rest != ""; {
				n := min(100_001, len(rest))
				write(t, c, rest[:n])
				rest = rest[n:]
			}
			c.Release()
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
			want := python(raw)
			expect(t, c, want)
			if log.String() != want || c.Len() != int64(len(want)) {
				t.Errorf("the log has %d bytes, the length is %d, want %d", log.Len(), c.Len(), len(want))
			}
		})
	}
}

// TestTextWithALogThatBlocks: the log holds the result of an earlier read while the rest
// is kept without it.
func TestTextWithALogThatBlocks(t *testing.T) {
	gate := make(chan struct{})
	log := &holding{gate: gate, done: make(chan struct{})}
	c := start(t, stream.Config{Tee: log, Text: true})
	write(t, c, "first \xe9 ")
	awaitLen(c, int64(len(`first \xe9 `)))
	write(t, c, "second \xe8 \xe2\x82")
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, `first \xe9 second \xe8 \xe2\x82`)
	close(gate)
	<-log.done
	if log.got != `first \xe9 ` {
		t.Errorf("the log got %q", log.got)
	}
}

// holding is a log that reads what it gets only after a while.
type holding struct {
	gate, done chan struct{}
	got        string
}

func (h *holding) Write(p []byte) (int, error) {
	<-h.gate
	h.got = string(p)
	close(h.done)
	return len(p), nil
}

// TestTextSegments: what is copied while a stream is written is text, also next to bytes
// that were overwritten before they were copied.
func TestTextSegments(t *testing.T) {
	for _, limit := range []int64{20, 21, 22, 23, 1000} {
		for most := int64(10); most < 14; most++ {
			c := start(t, stream.Config{Limit: limit, Text: true})
			var all, copied bytes.Buffer
			offset := int64(0)
			for i := range 40 {
				piece := strings.Repeat("€", i%5) + "x\xff"
				write(t, c, piece)
				all.WriteString(python(piece))
				awaitLen(c, int64(all.Len()))
				var segment bytes.Buffer
				var err error
				if i%3 == 0 {
					if offset, err = c.CopySince(&segment, offset, most); err != nil || offset != int64(all.Len()) {
						t.Fatalf("copied up to %d of %d: %v", offset, all.Len(), err)
					}
				}
				if !utf8.Valid(segment.Bytes()) {
					t.Fatalf("limit %d, segments of %d: %q", limit, most, segment.String())
				}
				copied.Write(segment.Bytes())
			}
			c.Release()
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(c.Path)
			if err != nil || !utf8.Valid(raw) || copied.Len() == 0 {
				t.Errorf("limit %d: kept %q, %v", limit, raw, err)
			}
		}
	}
}

// growing is written to while the stream grows.
type growing struct {
	bytes.Buffer
	grow func()
}

func (g *growing) Write(p []byte) (int, error) {
	g.grow()
	g.grow = func() {}
	return g.Buffer.Write(p)
}

// TestTextSegmentOfAStreamThatGrows: the last piece of a segment ends within a character
// that was written meanwhile. It belongs to the next segment.
func TestTextSegmentOfAStreamThatGrows(t *testing.T) {
	const piece = 64 << 10
	c := start(t, stream.Config{Text: true})
	begin, more := strings.Repeat("x", piece+10), strings.Repeat("€", piece/3)+strings.Repeat("😀", piece/4)
	offset := int64(0)
	for _, most := range []string{"", "x"} {
		write(t, c, begin+most)
		awaitLen(c, offset+int64(len(begin+most)))
		w := &growing{grow: func() {
			length := c.Len()
			write(t, c, more)
			awaitLen(c, length+int64(len(more)))
		}}
		next, err := c.CopySince(w, offset, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		end, err := c.CopySince(&w.Buffer, next, 1<<30)
		if err != nil || end != c.Len() || w.String() != begin+most+more {
			t.Errorf("copied up to %d, then %d of %d (%v): %d bytes, want %d", next, end, c.Len(), err, w.Len(), len(begin+most+more))
		}
		offset = end
	}
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
}

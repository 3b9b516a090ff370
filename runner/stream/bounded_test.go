// SPDX-License-Identifier: Apache-2.0

package stream_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

// kept returns what is kept of data that comes in chunks.
func kept(t *testing.T, limit int64, data string, chunk int) string {
	t.Helper()
	c := start(t, stream.Config{Limit: limit})
	for rest := data; rest != ""; {
		n := min(chunk, len(rest))
		write(t, c, rest[:n])
		rest = rest[n:]
	}
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := c.Len(); got != int64(len(data)) {
		t.Errorf("brought %d bytes, want %d", got, len(data))
	}
	raw, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func awaitLen(c *stream.Capture, n int64) {
	for c.Len() < n {
		runtime.Gosched()
	}
}

func TestHeadAndTailAreKept(t *testing.T) {
	const limit = 100
	var numbers strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&numbers, "%04d\n", i)
	}
	all := numbers.String()
	for _, size := range []int{0, 1, 49, 50, 51, 99, 100} {
		for _, chunk := range []int{1, 7, 4096} {
			if got := kept(t, limit, all[:size], chunk); got != all[:size] {
				t.Errorf("%d bytes in chunks of %d: kept %q", size, chunk, got)
			}
		}
	}
	for _, size := range []int{101, 149, 150, 151, 199, 200, 201, 4999} {
		for _, chunk := range []int{1, 7, 33, 4096} {
			want := fmt.Sprintf("%s\n[taskgroup] %d bytes are left out here: of each stream, %d are kept\n%s",
				all[:limit/2], size-limit, limit, all[size-limit/2:size])
			if got := kept(t, limit, all[:size], chunk); got != want {
				t.Errorf("%d bytes in chunks of %d: kept %q, want %q", size, chunk, got, want)
			}
		}
	}
}

// TestNoCharacterIsCut: Covalent reads streams as UTF-8.
func TestNoCharacterIsCut(t *testing.T) {
	for _, character := range []string{"é", "€", "\U0001F600"} {
		data := strings.Repeat(character, 500)
		for shift := range 8 {
			got := kept(t, 101, strings.Repeat("x", shift)+data, 64)
			if !utf8.ValidString(got) {
				t.Errorf("%s shifted by %d: kept %q", character, shift, got)
			}
		}
	}
}

// TestCopySince: the pieces that are copied while a stream is written are the stream,
// except for what was overwritten before it was copied.
func TestCopySince(t *testing.T) {
	const line = 10
	tests := map[string]struct {
		limit int64
		// every is how many lines are written between two copies, of at most most bytes.
		every int
		most  int64
		want  func(all string) string
	}{
		"all of it":        {1000, 3, 1000, func(all string) string { return all }},
		"beyond the limit": {20, 1, 1000, func(all string) string { return all }},
		"only the last few": {1000, 3, 10, func(all string) string {
			var want strings.Builder
			for i := 0; i < len(all); i += 3 * line {
				fmt.Fprintf(&want, "\n[taskgroup] 20 bytes are left out here\n%s", all[i+20:i+30])
			}
			return want.String()
		}},
		"overwritten meanwhile": {40, 5, 1000, func(all string) string {
			// The head of 20 bytes is never overwritten, and the tail has 20 bytes.
			var want strings.Builder
			want.WriteString(all[:20] + "\n[taskgroup] 10 bytes are left out here\n" + all[30:50])
			for i := 50; i < len(all); i += 5 * line {
				fmt.Fprintf(&want, "\n[taskgroup] 30 bytes are left out here\n%s", all[i+30:i+50])
			}
			return want.String()
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := start(t, stream.Config{Limit: test.limit})
			var all, copied strings.Builder
			offset := int64(0)
			for i := range 30 {
				text := fmt.Sprintf("%09d\n", i)
				all.WriteString(text)
				write(t, c, text)
				awaitLen(c, int64(all.Len()))
				if (i+1)%test.every != 0 {
					continue
				}
				var err error
				if offset, err = c.CopySince(&copied, offset, test.most); err != nil || offset != int64(all.Len()) {
					t.Fatalf("copied up to %d of %d: %v", offset, all.Len(), err)
				}
			}
			if want := test.want(all.String()); copied.String() != want {
				t.Errorf("copied %q, want %q", copied.String(), want)
			}
			c.Release()
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestALongStreamTakesLittleDisk: the file does not grow beyond the limit.
func TestALongStreamTakesLittleDisk(t *testing.T) {
	c := start(t, stream.Config{Limit: 1 << 20})
	line := strings.Repeat("x", 1<<16)
	for range 16 * 16 {
		write(t, c, line)
	}
	awaitLen(c, 16<<20)
	info, err := os.Stat(c.Path)
	if err != nil || info.Size() > 1<<20 {
		t.Errorf("16 MiB took %d bytes of disk, want at most 1 MiB: %v", info.Size(), err)
	}
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
}

package stream_test

import (
	"fmt"
	"os"
	"path/filepath"
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

// TestSnapshotOfAStreamThatGoesOn: what is read at any moment is the head and the
// newest tail.
func TestSnapshotOfAStreamThatGoesOn(t *testing.T) {
	c := start(t, stream.Config{Limit: 20})
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	for i := range 100 {
		line := fmt.Sprintf("%09d\n", i)
		write(t, c, line)
		awaitLen(c, int64(10*(i+1)))
		if err := c.Snapshot(snapshot); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(raw), "000000000\n") || !strings.HasSuffix(string(raw), line) {
			t.Fatalf("after line %d: %q", i, raw)
		}
	}
	c.Release()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
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

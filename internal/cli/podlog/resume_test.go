// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

// openedAt returns the lines that a kubelet returns for sinceTime.
func openedAt(lines []string, since time.Time) string {
	for i, line := range lines {
		stamp, _, _ := strings.Cut(line, " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && !at.Before(since) {
			return strings.Join(lines[i:], "")
		}
	}
	return ""
}

type brokenAfter struct {
	io.Reader
	err error
}

func (b brokenAfter) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

// TestResumeAtEveryByte breaks the stream after every byte. No line is lost, repeated
// or divided, also if several have one timestamp, or the times are not in order.
func TestResumeAtEveryByte(t *testing.T) {
	t.Parallel()
	lines := []string{
		"2026-01-01T00:00:00.1Z [taskgroup] task 0: started\n",
		"2026-01-01T00:00:00.2Z same\n",
		"2026-01-01T00:00:00.2Z same\n",
		"2026-01-01T00:00:00.9Z late\n",
		"2026-01-01T00:00:00.8Z early\n",
		"2026-01-01T00:00:01.5Z \n",
		"2026-01-01T00:00:01.5Z two words\n",
		"2026-01-01T00:00:02.5Z no newline",
	}
	want := "[taskgroup] task 0: started\nsame\nsame\nlate\nearly\n\ntwo words\nno newline\n"
	whole := strings.Join(lines, "")
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF} {
		for cut := range len(whole) + 1 {
			var out strings.Builder
			stream := NewWriter(&out, terminal.Palette{}).Stream("")
			if err := stream.Copy(brokenAfter{strings.NewReader(whole[:cut]), broken}); !errors.Is(broken, io.EOF) && !errors.Is(err, broken) {
				t.Fatalf("the error of the stream is %v", err)
			}
			for range 2 {
				if err := stream.Copy(strings.NewReader(openedAt(lines, stream.Since()))); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Fatalf("broken after %d bytes (-want +got):\n%s", cut, diff)
			}
		}
	}
}

// TestResumeInsideALongLine: a line that is shown in parts is continued.
func TestResumeInsideALongLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 30000)
	lines := []string{"2026-01-01T00:00:00Z first\n", "2026-01-01T00:00:00.5Z " + long + "\n", "2026-01-01T00:00:01Z last\n"}
	whole := strings.Join(lines, "")
	for cut := 1000; cut < len(whole); cut += 10007 {
		var out strings.Builder
		stream := NewWriter(&out, terminal.Palette{}).Stream("> ")
		_ = stream.Copy(brokenAfter{strings.NewReader(whole[:cut]), io.ErrUnexpectedEOF})
		_ = stream.Copy(brokenAfter{strings.NewReader(whole[:cut+1]), io.ErrUnexpectedEOF})
		if err := errors.Join(stream.Copy(strings.NewReader(openedAt(lines, stream.Since()))), stream.Close()); err != nil {
			t.Fatal(err)
		}
		if want := "> first\n> " + long + "\n> last\n"; out.String() != want {
			t.Fatalf("broken after %d bytes: %d bytes shown, want %d", cut, out.Len(), len(want))
		}
	}
}

// TestLinesWithoutATimestamp are messages of the kubelet.
func TestLinesWithoutATimestamp(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	stream := NewWriter(&out, terminal.Palette{}).Stream("")
	if err := errors.Join(stream.Copy(strings.NewReader("unable to retrieve container logs\nx")), stream.Close()); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "unable to retrieve container logs\nx\n" {
		t.Errorf("showed %q", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package table

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestColumnsAlignInEveryScript(t *testing.T) {
	table := Table{Header: []string{"NAME", "STATUS", "MESSAGE"}}
	table.Add(Text("plain"), Text("Running"), Blank(""))
	table.Add(Text("日本語"), Text(""), Blank("one\x1b[31mtwo\nthree\u202e"))
	table.Add(Text("gruß"), Text("Failed"), Blank("x"))
	want := "" +
		"NAME     STATUS    MESSAGE\n" +
		"plain    Running\n" +
		"日本語   <none>    one [31mtwo three\n" +
		"gruß     Failed    x\n"
	var got strings.Builder
	table.Fprint(&got)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLinesAreNoWiderThanAsked(t *testing.T) {
	table := Table{Header: []string{"NAME", "MESSAGE"}, Width: 20, Indent: "  "}
	table.Add(Text("one"), Blank(strings.Repeat("界", 40)))
	table.Add(Text("two"), Blank("short"))
	var got strings.Builder
	table.Fprint(&got)
	for line := range strings.Lines(got.String()) {
		if width := Width(strings.TrimRight(line, "\n")); width > 20 {
			t.Errorf("%q is %d wide", line, width)
		}
	}
	if !strings.Contains(got.String(), "…") {
		t.Errorf("nothing shows the cut:\n%s", got.String())
	}
}

func TestRowsMayBeShorterOrLongerThanTheHeader(t *testing.T) {
	table := Table{Header: []string{"A", "B"}}
	table.Add(Text("1"))
	table.Add(Text("1"), Text("2"), Text("3"))
	table.Add()
	var got strings.Builder
	table.Fprint(&got)
	if diff := cmp.Diff("A   B\n1\n1   2   3\n\n", got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

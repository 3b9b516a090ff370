// SPDX-License-Identifier: Apache-2.0

package podlog

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

const text = `[taskgroup] task 1: completed in attempt 1
[taskgroup] task 3: started
adding 3 and 4
no end of a line[taskgroup] task 3: completed in 0.261 s
between tasks
[taskgroup] task 4: started
[taskgroup] task 4: uploading: a store is slow
scaling
[taskgroup] task 4: FAILED: TaskError: boom
[taskgroup] task 5: CANCELLED: NotStarted: task 4 before it failed
`

func TestTasksAreToldApart(t *testing.T) {
	for name, tc := range map[string]struct {
		only *v1alpha1.NodeID
		want string
	}{
		"all":                            {nil, strings.Replace(text, "line[", "line\n[", 1)},
		"one that was completed before":  {new(v1alpha1.NodeID(1)), "[taskgroup] task 1: completed in attempt 1\n"},
		"one whose last line has no end": {new(v1alpha1.NodeID(3)), "[taskgroup] task 3: started\nadding 3 and 4\nno end of a line\n[taskgroup] task 3: completed in 0.261 s\n"},
		"one that never started":         {new(v1alpha1.NodeID(5)), "[taskgroup] task 5: CANCELLED: NotStarted: task 4 before it failed\n"},
		"one that is not there":          {new(v1alpha1.NodeID(7)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			w := NewWriter(&out, terminal.Palette{})
			w.Only = tc.only
			if err := w.Copy(strings.NewReader(text), ""); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongLinesAndMissingEnds(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	var out strings.Builder
	w := NewWriter(&out, terminal.Palette{})
	if err := w.Copy(strings.NewReader(long+"\nlast"), "[task 1] "); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("[task 1] "+long+"\n[task 1] last\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorsOfTheLogAreTold(t *testing.T) {
	broken := errors.New("broken")
	w := NewWriter(&strings.Builder{}, terminal.Palette{})
	if err := w.Copy(iotest.ErrReader(broken), ""); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func FuzzCopy(f *testing.F) {
	f.Add(text, int64(3))
	f.Add("[taskgroup] task 99999999999999999999: x\n", int64(0))
	f.Fuzz(func(t *testing.T, text string, node int64) {
		var all, one strings.Builder
		if err := NewWriter(&all, terminal.Palette{}).Copy(strings.NewReader(text), ""); err != nil {
			t.Fatal(err)
		}
		only := v1alpha1.NodeID(node)
		if err := NewWriter(&one, terminal.Palette{}).OnlyTask(only).Copy(strings.NewReader(text), ""); err != nil {
			t.Fatal(err)
		}
		if one.Len() > all.Len()+1 {
			t.Errorf("one task has more than all: %q of %q", one.String(), all.String())
		}
		if got := strings.ReplaceAll(all.String(), "\n", ""); got != strings.ReplaceAll(text, "\n", "") {
			t.Errorf("%q became %q", text, got)
		}
	})
}

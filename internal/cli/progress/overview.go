// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// urgency orders the stages: what runs is looked at first.
var urgency = map[view.Stage]int{view.Running: 0, view.Waiting: 1, view.Failed: 2, view.Cancelled: 3, view.Completed: 4}

// overviewHead is the lines that are no group's: the counts, the header, and the
// one that the cursor is on.
const overviewHead = 3

// OverviewHeight is how many lines an overview of so many groups needs.
func OverviewHeight(groups int) int { return groups + overviewHead }

// Overview counts the groups of each stage and lists as many as fit: those that
// run, those that wait, and of those that ended the last first.
func Overview(groups []v1alpha1.TaskGroup, now time.Time, size terminal.Size, namespaces bool, palette terminal.Palette) []string {
	counts := map[view.Stage]int{}
	for i := range groups {
		counts[view.StageOf(&groups[i])]++
	}
	words := []string{fmt.Sprintf("%d groups", len(groups))}
	for _, stage := range view.Stages {
		words = append(words, palette.Paint(Colours[stage], fmt.Sprintf("%s %d", stage, counts[stage])))
	}
	lines := []string{strings.Join(words, "   ")}
	ordered := slices.Clone(groups)
	slices.SortStableFunc(ordered, func(a, b v1alpha1.TaskGroup) int {
		if d := urgency[view.StageOf(&a)] - urgency[view.StageOf(&b)]; d != 0 && (!a.Status.IsFinished() || !b.Status.IsFinished()) {
			return d
		}
		return cmp.Or(view.At(b.Status.CompletionTime).Compare(view.At(a.Status.CompletionTime)), view.CreatedAt(&b).Compare(view.CreatedAt(&a)))
	})
	out := table.Table{Palette: palette, Width: size.Width}
	if namespaces {
		out.Header = append(out.Header, "NAMESPACE")
	}
	out.Header = append(out.Header, "NAME", "STATUS", "DONE", "PROGRESS", "TIME", "NODE", "MESSAGE")
	for i := range min(len(ordered), max(size.Height-overviewHead, 0)) {
		tg := &ordered[i]
		var row []table.Cell
		if namespaces {
			row = append(row, table.Text(tg.Namespace))
		}
		done, all := view.Done(tg)
		colour := Colours[view.StageOf(tg)]
		message := ""
		if stage := view.StageOf(tg); stage == view.Waiting || stage == view.Failed {
			message = tg.Status.Message()
		}
		out.Add(append(row, table.Text(table.Cut(tg.Name, maxName)), table.Cell{Text: string(tg.Status.Reason()), Colour: colour},
			table.Blank(fmt.Sprintf("%d/%d", done, all)), table.Cell{Text: Bar(done, all, barWidth/2), Colour: colour},
			table.Text(view.Span(view.Elapsed(tg, now).Truncate(time.Second))), table.Blank(tg.Status.NodeName), table.Blank(message))...)
	}
	var text strings.Builder
	out.Fprint(&text)
	return append(lines, strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")...)
}

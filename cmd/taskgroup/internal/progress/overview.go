package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/cmd/taskgroup/internal/group"
	"github.com/taskgroup-operator/taskgroup-operator/cmd/taskgroup/internal/table"
	"github.com/taskgroup-operator/taskgroup-operator/cmd/taskgroup/internal/terminal"
)

// urgency orders the stages: what runs is looked at first.
var urgency = map[group.Stage]int{group.Running: 0, group.Waiting: 1, group.Failed: 2, group.Cancelled: 3, group.Completed: 4}

// overviewHead is the lines that are no group's: the counts, the header, and the
// one that the cursor is on.
const overviewHead = 3

// OverviewHeight is how many lines an overview of so many groups needs.
func OverviewHeight(groups int) int { return groups + overviewHead }

// Overview counts the groups of each stage and lists as many as fit: those that
// run, those that wait, and of those that ended the last first.
func Overview(groups []v1alpha1.TaskGroup, now time.Time, size terminal.Size, namespaces bool, palette terminal.Palette) []string {
	counts := map[group.Stage]int{}
	for i := range groups {
		counts[group.StageOf(&groups[i])]++
	}
	words := []string{fmt.Sprintf("%d groups", len(groups))}
	for _, stage := range group.Stages {
		words = append(words, palette.Paint(Colours[stage], fmt.Sprintf("%s %d", stage, counts[stage])))
	}
	lines := []string{strings.Join(words, "   ")}
	ordered := slices.Clone(groups)
	slices.SortStableFunc(ordered, func(a, b v1alpha1.TaskGroup) int {
		if d := urgency[group.StageOf(&a)] - urgency[group.StageOf(&b)]; d != 0 && (!group.IsFinished(&a) || !group.IsFinished(&b)) {
			return d
		}
		return cmp.Or(group.At(b.Status.CompletionTime).Compare(group.At(a.Status.CompletionTime)), group.CreatedAt(&b).Compare(group.CreatedAt(&a)))
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
		done, all := group.Done(tg)
		colour := Colours[group.StageOf(tg)]
		message := ""
		if stage := group.StageOf(tg); stage == group.Waiting || stage == group.Failed {
			message = group.MessageOf(tg)
		}
		out.Add(append(row, table.Text(table.Cut(tg.Name, maxName)), table.Cell{Text: string(group.ReasonOf(tg)), Colour: colour},
			table.Blank(fmt.Sprintf("%d/%d", done, all)), table.Cell{Text: Bar(done, all, barWidth/2), Colour: colour},
			table.Text(group.Span(group.Elapsed(tg, now).Truncate(time.Second))), table.Blank(tg.Status.NodeName), table.Blank(message))...)
	}
	var text strings.Builder
	out.Fprint(&text)
	return append(lines, strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")...)
}

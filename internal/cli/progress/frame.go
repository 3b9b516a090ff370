// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

const (
	// barWidth is the width of a bar on a terminal that is wide enough.
	barWidth = 20
	// maxName is how much of a name is shown.
	maxName = 40
)

// Colours are the colours of the stages.
var Colours = map[view.Stage]terminal.Colour{
	view.Waiting: terminal.Yellow, view.Running: terminal.Blue, view.Completed: terminal.Green,
	view.Failed: terminal.Red, view.Cancelled: terminal.Dim,
}

// Frame is a line for each group, none wider than the terminal, and no more
// than it is high: those that have not finished go first where all do not fit.
func Frame(groups []v1alpha1.TaskGroup, now time.Time, size terminal.Size, palette terminal.Palette) []string {
	shown, hidden := fit(groups, size.Height-1)
	name := 0
	for i := range shown {
		name = max(name, table.Width(shown[i].Name))
	}
	name = min(name, maxName)
	lines := make([]string, 0, len(shown)+1)
	for i := range shown {
		lines = append(lines, line(&shown[i], name, now, size.Width, palette))
	}
	if hidden > 0 {
		lines = append(lines, table.Cut(fmt.Sprintf("… and %d more", hidden), size.Width))
	}
	return lines
}

// fit chooses what to show in so many lines.
func fit(groups []v1alpha1.TaskGroup, height int) (shown []v1alpha1.TaskGroup, hidden int) {
	if len(groups) <= height {
		return groups, 0
	}
	room := max(height-1, 1)
	for _, finished := range []bool{false, true} {
		for i := range groups {
			if groups[i].Status.IsFinished() == finished && len(shown) < room {
				shown = append(shown, groups[i])
			}
		}
	}
	return shown, len(groups) - len(shown)
}

func line(tg *v1alpha1.TaskGroup, name int, now time.Time, width int, palette terminal.Palette) string {
	stage := view.StageOf(tg)
	done, all := view.Done(tg)
	bar := Bar(done, all, barWidth)
	rest := fmt.Sprintf(" %*s  %s  %s", 7, fmt.Sprintf("%d/%d", done, all),
		table.Pad(string(tg.Status.Reason()), 12), table.Pad(view.Span(view.Elapsed(tg, now).Truncate(time.Second)), 6))
	if stage == view.Failed || stage == view.Waiting {
		rest += "  " + table.Clean(tg.Status.Message())
	}
	left := table.Pad(tg.Name, name) + "  "
	room := width - table.Width(left) - barWidth
	if room < 24 {
		// Too narrow for a bar: the text is more useful.
		return palette.Paint(Colours[stage], strings.TrimRight(table.Cut(left+strings.TrimLeft(rest, " "), width), " "))
	}
	return left + palette.Paint(Colours[stage], bar) + strings.TrimRight(table.Cut(rest, room), " ")
}

// Bar is a bar of so many characters; it is full only when all is done.
func Bar(done, all, width int) string {
	full := 0
	if all > 0 {
		full = min(max(done, 0), all) * width / all
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// Line is printed for a change where there is no terminal.
func Line(tg *v1alpha1.TaskGroup) string {
	done, all := view.Done(tg)
	line := fmt.Sprintf("%s: %s %d/%d", tg.Name, tg.Status.Reason(), done, all)
	if message := table.Clean(tg.Status.Message()); message != "" {
		line += ": " + message
	}
	return line
}

// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

const (
	// maxLabel and maxNote bound what is beside the bars.
	maxLabel = 30
	maxNote  = 34
	// minBars is how wide the bars are, at the least.
	minBars = 20
)

// textKinds are what each kind looks like without a colour, and with one.
var textKinds = map[Kind]struct {
	mark   rune
	colour terminal.Colour
}{
	Queued:    {'·', terminal.Yellow},
	Starting:  {'░', terminal.Yellow},
	Turn:      {'-', terminal.Dim},
	Running:   {'▓', terminal.Blue},
	Completed: {'█', terminal.Green},
	Failed:    {'╳', terminal.Red},
	Cancelled: {'▒', terminal.Dim},
}

// Text draws a chart with characters, in lines of at most this width.
func (c *Chart) Text(w io.Writer, width int, palette terminal.Palette) {
	label, note := 0, 0
	for _, row := range c.Rows {
		label = max(label, table.Width(indented(&row)))
		note = max(note, table.Width(table.Clean(row.Note)))
	}
	label, note = min(label, maxLabel), min(note, maxNote)
	bars := max(width-label-note-4, minBars)
	var out strings.Builder
	total := view.Span(c.To.Sub(c.From))
	begin := c.From.UTC().Format(time.DateTime) + " UTC"
	fmt.Fprintf(&out, "%s  %s%s\n", strings.Repeat(" ", label), table.Pad(begin, max(bars-len(total), 0)), total)
	for i := range c.Rows {
		row := &c.Rows[i]
		out.WriteString(table.Pad(indented(row), label) + "  ")
		c.bar(&out, row, bars, palette)
		out.WriteString("  " + strings.TrimRight(table.Cut(table.Clean(row.Note), note), " ") + "\n")
	}
	var legend []string
	for _, kind := range kinds {
		if c.has(kind) {
			legend = append(legend, palette.Paint(textKinds[kind].colour, string(textKinds[kind].mark))+" "+string(kind))
		}
	}
	if len(legend) > 0 {
		fmt.Fprintf(&out, "%s  %s\n", strings.Repeat(" ", label), strings.Join(legend, "   "))
	}
	_, _ = io.WriteString(w, out.String())
}

func indented(row *Row) string { return strings.Repeat("  ", row.Depth) + table.Clean(row.Label) }

// bar draws the spans of a row; each existing one has a character at least.
func (c *Chart) bar(out *strings.Builder, row *Row, width int, palette terminal.Palette) {
	cells := make([]Kind, width)
	for _, span := range row.Spans {
		from := min(c.position(span.From, width), width-1)
		for i := from; i < max(c.position(span.To, width), from+1) && i < width; i++ {
			cells[i] = span.Kind
		}
	}
	for begin := 0; begin < width; {
		end := begin
		for end < width && cells[end] == cells[begin] {
			end++
		}
		if look, ok := textKinds[cells[begin]]; ok {
			out.WriteString(palette.Paint(look.colour, strings.Repeat(string(look.mark), end-begin)))
		} else {
			out.WriteString(strings.Repeat(" ", end-begin))
		}
		begin = end
	}
}

// position is the position of a time on an axis of this length.
func (c *Chart) position(t time.Time, width int) int {
	return int(c.share(t)*float64(width) + 0.5)
}

// share is the share of the chart's time that is over at t, from 0 to 1.
func (c *Chart) share(t time.Time) float64 {
	return min(max(float64(t.Sub(c.From))/float64(c.To.Sub(c.From)), 0), 1)
}

func (c *Chart) has(kind Kind) bool {
	return slices.ContainsFunc(c.Rows, func(row Row) bool {
		return slices.ContainsFunc(row.Spans, func(span Span) bool { return span.Kind == kind })
	})
}

// SPDX-License-Identifier: Apache-2.0

package table

import (
	"io"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

// gap is between two columns, as kubectl's.
const gap = 3

// Cell is one entry.
type Cell struct {
	Text   string
	Colour terminal.Colour
}

// Text is a cell without a colour; an empty one shows as <none>.
func Text(s string) Cell {
	if s == "" {
		s = "<none>"
	}
	return Cell{Text: s}
}

// Blank is a cell without a colour that may be empty.
func Blank(s string) Cell { return Cell{Text: s} }

// Table is rows under a header.
type Table struct {
	Header []string
	Rows   [][]Cell
	// NoHeader omits the header, whose widths still count.
	NoHeader bool
	// Widths are the least widths of the columns, so that tables that follow one another
	// are aligned; Fprint sets them.
	Widths []int
	// Indent is before each line.
	Indent string
	// Palette colours cells; the zero value does not.
	Palette terminal.Palette
	// Width cuts the last column, so that no line is wider; 0 for no limit.
	Width int
}

// Add appends a row.
func (t *Table) Add(cells ...Cell) { t.Rows = append(t.Rows, cells) }

// Fprint writes the table; no line ends in spaces.
func (t *Table) Fprint(w io.Writer) {
	var text strings.Builder
	widths := t.widths()
	t.Widths = widths
	header := make([]Cell, len(t.Header))
	for i, title := range t.Header {
		header[i] = Cell{Text: title, Colour: terminal.Bold}
	}
	if len(header) > 0 && !t.NoHeader {
		t.line(&text, header, widths)
	}
	for _, row := range t.Rows {
		t.line(&text, row, widths)
	}
	_, _ = io.WriteString(w, text.String())
}

func (t *Table) widths() []int {
	widths := make([]int, len(t.Header))
	copy(widths, t.Widths)
	for i, title := range t.Header {
		widths[i] = max(widths[i], Width(title))
	}
	for _, row := range t.Rows {
		for i := range min(len(row), len(widths)) {
			widths[i] = max(widths[i], Width(Clean(row[i].Text)))
		}
	}
	return widths
}

func (t *Table) line(text *strings.Builder, cells []Cell, widths []int) {
	text.WriteString(t.Indent)
	used := Width(t.Indent)
	last := len(cells) - 1
	for last > 0 && cells[last].Text == "" {
		last--
	}
	for i := range last + 1 {
		content := Clean(cells[i].Text)
		if i == last {
			if t.Width > 0 {
				content = Cut(content, max(t.Width-used, 8))
			}
			text.WriteString(t.Palette.Paint(cells[i].Colour, content))
			break
		}
		column := Width(content)
		if i < len(widths) {
			column = widths[i]
		}
		text.WriteString(t.Palette.Paint(cells[i].Colour, content))
		text.WriteString(strings.Repeat(" ", column-Width(content)+gap))
		used += column + gap
	}
	text.WriteByte('\n')
}

// Width is how many columns of a terminal a text takes.
func Width(s string) int { return runewidth.StringWidth(s) }

// Cut shortens a text to a width, and shows that it did.
func Cut(s string, width int) string { return runewidth.Truncate(s, width, "…") }

// Pad fills a text up to a width with spaces, or cuts it.
func Pad(s string, width int) string {
	return runewidth.FillRight(Cut(s, width), width)
}

// Clean takes out what would break a line or command a terminal: a message may
// hold what a task printed.
func Clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	clean := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
	if strings.IndexFunc(s, clean) < 0 {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, clean), " ")
}

// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// The measures of a picture, in pixels.
const (
	svgLabel  = 220
	svgBars   = 640
	svgNote   = 260
	svgRow    = 22
	svgTop    = 34
	svgBottom = 34
	svgTicks  = 5
)

// svgColours are the colours of the kinds, readable on white and on black.
var svgColours = map[Kind]string{
	Queued: "#d9a441", Starting: "#e8c987", Turn: "#9aa4b2", Running: "#3b82f6",
	Completed: "#2f9e5b", Failed: "#d64545", Cancelled: "#7c6f9c",
}

const svgStyle = `text{font:12px system-ui,sans-serif;fill:#1f2933}.g{font-weight:600}.n{fill:#616e7c}.a{stroke:#cbd2d9}` +
	`@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.n{fill:#9aa5b1}.a{stroke:#3e4c59}}`

// SVG draws a chart as a picture that needs nothing else.
func (c *Chart) SVG(w io.Writer) {
	var out strings.Builder
	height := svgTop + svgRow*len(c.Rows) + svgBottom
	width := svgLabel + svgBars + svgNote
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, "<title>%s</title>\n<style>%s</style>\n", xml(c.title()), svgStyle)
	c.axis(&out)
	for i := range c.Rows {
		c.row(&out, &c.Rows[i], svgTop+svgRow*i)
	}
	x := svgLabel
	for _, kind := range kinds {
		if c.has(kind) {
			y := height - svgBottom + 12
			fmt.Fprintf(&out, `<rect x="%d" y="%d" width="12" height="12" rx="2" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", x, y, svgColours[kind], x+16, y+10, kind)
			x += 28 + 7*len(kind)
		}
	}
	out.WriteString("</svg>\n")
	_, _ = io.WriteString(w, out.String())
}

func (c *Chart) title() string {
	var names []string
	for _, row := range c.Rows {
		if row.Depth == 0 {
			names = append(names, row.Label)
		}
	}
	return "Timeline of " + strings.Join(names, ", ")
}

func (c *Chart) axis(out *strings.Builder) {
	fmt.Fprintf(out, `<text class="n" x="0" y="16">%s UTC</text>`+"\n", c.From.UTC().Format(time.DateTime))
	for i := range svgTicks + 1 {
		x := svgLabel + svgBars*i/svgTicks
		after := c.To.Sub(c.From) / svgTicks * time.Duration(i)
		fmt.Fprintf(out, `<line class="a" x1="%d" y1="%d" x2="%d" y2="%d"/><text class="n" x="%d" y="16" text-anchor="middle">%s</text>`+"\n",
			x, svgTop-10, x, svgTop+svgRow*len(c.Rows), x, view.Span(after))
	}
}

func (c *Chart) row(out *strings.Builder, row *Row, y int) {
	class := ""
	if row.Depth == 0 {
		class = ` class="g"`
	}
	fmt.Fprintf(out, `<text%s x="%d" y="%d">%s</text>`+"\n", class, row.Depth*14, y+15, xml(table.Cut(row.Label, 30)))
	for _, span := range row.Spans {
		from, to := c.share(span.From)*svgBars, c.share(span.To)*svgBars
		fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"><title>%s</title></rect>`+"\n",
			svgLabel+from, y+4, max(to-from, 1), svgRow-8, svgColours[span.Kind],
			xml(fmt.Sprintf("%s: %s, from +%s to +%s", row.Label, span.Kind, view.Span(span.From.Sub(c.From)), view.Span(span.To.Sub(c.From)))))
	}
	fmt.Fprintf(out, `<text class="n" x="%d" y="%d">%s</text>`+"\n", svgLabel+svgBars+10, y+15, xml(table.Cut(row.Note, 38)))
}

// HTML draws a chart as a page that needs nothing else.
func (c *Chart) HTML(w io.Writer) {
	fmt.Fprintf(w, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<style>body{margin:2em;font:14px system-ui,sans-serif}svg{max-width:100%%;height:auto}</style>
</head>
<body>
<h1>%s</h1>
`, xml(c.title()), xml(c.title()))
	c.SVG(w)
	fmt.Fprint(w, "</body>\n</html>\n")
}

// xml makes any text fit for a document: some characters are in none.
func xml(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == 0xFFFE || r == 0xFFFF {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(table.Clean(s), "\uFFFD"))
	return html.EscapeString(s)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is the result of a run.
type report struct {
	Arm arm `json:"arm"`
	// Node is the node of burst, steady and waiting.
	Node   nodeKind `json:"node"`
	CPUs   int      `json:"cpus"`
	Rounds int      `json:"rounds"`
	Rows   []row    `json:"rows"`
}

// row is one measure.
type row struct {
	Scenario string `json:"scenario"`
	What     string `json:"what"`
	Unit     string `json:"unit,omitempty"`
	// Rounds holds what each round measured; Median is what is judged.
	Rounds []float64 `json:"rounds"`
	Median float64   `json:"median"`
	Budget *budget   `json:"budget,omitempty"`
	Missed bool      `json:"missed"`
}

// budget is a bound of a measure.
type budget struct {
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"atLeast,omitempty"`
}

func atMost(bound float64) *budget  { return &budget{Bound: bound} }
func atLeast(bound float64) *budget { return &budget{Bound: bound, AtLeast: true} }

// no budget: the row explains others.
var noBudget *budget

func newReport(o *Options) *report {
	return &report{Arm: o.Arm, Node: o.Node, CPUs: runtime.NumCPU(), Rounds: o.Rounds}
}

// section adds the rows of one scenario.
type section struct {
	report *report
	name   string
}

func (s section) row(what, unit string, limit *budget, rounds ...float64) {
	r := row{Scenario: s.name, What: what, Unit: unit, Rounds: rounds, Median: median(rounds), Budget: limit}
	if limit != nil {
		r.Missed = r.Median > limit.Bound
		if limit.AtLeast {
			r.Missed = r.Median < limit.Bound
		}
	}
	s.report.Rows = append(s.report.Rows, r)
}

func (r *report) missed() bool {
	return slices.ContainsFunc(r.Rows, func(row row) bool { return row.Missed })
}

func (r *report) write(w io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	fmt.Fprintf(w, "%s controller-manager, %s, %d processors; median of the rounds (lowest to highest)\n\n", r.Arm, r.Node, r.CPUs)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SCENARIO\tWHAT\tMEASURED\tBUDGET\tRESULT")
	for i := range r.Rows {
		row := &r.Rows[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.Scenario, row.What, row.measured(), row.bound(), row.result())
	}
	return table.Flush()
}

func (r *row) measured() string {
	text := number(r.Median, r.Unit)
	if len(r.Rounds) > 1 {
		text += fmt.Sprintf(" (%s to %s)", number(slices.Min(r.Rounds), ""), number(slices.Max(r.Rounds), ""))
	}
	return text
}

func (r *row) bound() string {
	switch {
	case r.Budget == nil:
		return "-"
	case r.Budget.AtLeast:
		return ">= " + number(r.Budget.Bound, r.Unit)
	}
	return "<= " + number(r.Budget.Bound, r.Unit)
}

func (r *row) result() string {
	switch {
	case r.Budget == nil:
		return ""
	case r.Missed:
		return "MISSED"
	}
	return "ok"
}

func number(n float64, unit string) string {
	text := fmt.Sprintf("%.2f", n)
	if n >= 100 {
		text = fmt.Sprintf("%.0f", n)
	}
	return strings.TrimSpace(text + " " + unit)
}

func median(values []float64) float64 { return percentile(slices.Sorted(slices.Values(values)), 50) }

// percentile of sorted values, between the two nearest.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := p / 100 * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

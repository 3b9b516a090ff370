// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric is one metric of a program, as its registry describes it.
type Metric struct {
	Name, Help string
	Labels     []string
}

// description is the text of a prometheus.Desc, which has no accessors.
var description = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}\}$`)

// RegisteredMetrics returns the metrics of a collector, such as a registry, by name. It
// leaves out those of the Go runtime and of the process, which every program has. A metric
// is included before it has a value.
func RegisteredMetrics(collector prometheus.Collector) ([]Metric, error) {
	descs := make(chan *prometheus.Desc)
	go func() {
		collector.Describe(descs)
		close(descs)
	}()
	var metrics []Metric
	var err error
	for desc := range descs {
		match := description.FindStringSubmatch(desc.String())
		if match == nil {
			err = fmt.Errorf("the description %s has another form", desc)
			continue
		}
		metric := Metric{Name: match[1], Help: strings.ReplaceAll(match[2], `\"`, `"`)}
		if match[3] != "" {
			metric.Labels = strings.Split(match[3], ",")
		}
		if !strings.HasPrefix(metric.Name, "go_") && !strings.HasPrefix(metric.Name, "process_") {
			metrics = append(metrics, metric)
		}
	}
	slices.SortFunc(metrics, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return metrics, err
}

// metricTable returns the table of metrics in Markdown.
func metricTable(metrics []Metric) string {
	var table strings.Builder
	table.WriteString("| metric | labels | meaning |\n|---|---|---|\n")
	for _, metric := range metrics {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", metric.Name, strings.Join(metric.Labels, ", "), strings.ReplaceAll(metric.Help, "|", `\|`))
	}
	return table.String()
}

// CompareMetrics returns an error if a page does not have the table of the metrics of a
// program between its markers. With update, it writes the table there.
func CompareMetrics(page, program string, metrics []Metric, update bool) error {
	return compareTable(page, "metrics", program, metricTable(metrics), update)
}

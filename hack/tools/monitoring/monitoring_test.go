// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests config/monitoring with the parsers of Prometheus and the types
// of the Prometheus operator.
package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

// read returns a file of the repository.
func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// parse decodes a file of config/monitoring strictly.
func parse[T any](t *testing.T, document string) *T {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Fatal(err)
	}
	return &object
}

// targetLabels are the labels that Prometheus adds to the series of a target.
var targetLabels = []string{"job", "namespace", "exported_namespace", "pod", "service", "endpoint", "container", "instance"}

// documented returns the labels of the metrics in docs/metrics.md, which other tests
// compare with the programs, and of those that each target has.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	metrics := map[string][]string{"up": nil, "process_resident_memory_bytes": nil, "process_cpu_seconds_total": nil}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z, ]*) \\|").FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		metrics[row[1]] = strings.Split(row[2], ", ")
	}
	if len(metrics) < 40 {
		t.Fatalf("docs/metrics.md has %d metrics", len(metrics))
	}
	return metrics
}

// check requires that an expression parses, and uses documented metrics and labels.
func check(t *testing.T, name, expression string, metrics map[string][]string) (used []string) {
	t.Helper()
	// Grafana replaces the interval.
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expression, "$__rate_interval", "5m"))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	labels := slices.Clone(targetLabels)
	var wanted []string
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			metric := node.Name
			if _, ok := metrics[metric]; !ok && strings.HasSuffix(metric, "_seconds_bucket") {
				metric = strings.TrimSuffix(metric, "_bucket")
				labels = append(labels, "le")
			}
			own, ok := metrics[metric]
			if !ok {
				t.Errorf("%s: no program has the metric %s", name, node.Name)
			}
			labels, used = append(labels, own...), append(used, metric)
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != "__name__" && !slices.Contains(own, matcher.Name) && !slices.Contains(targetLabels, matcher.Name) {
					t.Errorf("%s: %s has no label %s", name, metric, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			wanted = append(wanted, node.Grouping...)
		}
		return nil
	})
	for _, label := range wanted {
		if !slices.Contains(labels, label) {
			t.Errorf("%s: no metric has the label %s", name, label)
		}
	}
	return used
}

func TestAlerts(t *testing.T) {
	metrics, page := documented(t), read(t, "docs/operations.md")
	rules := parse[monitoringv1.PrometheusRuleSpec](t, read(t, "config/monitoring/alerts.yaml"))
	count := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			count++
			if len(check(t, rule.Alert, rule.Expr.String(), metrics)) == 0 {
				t.Errorf("%s uses no metric", rule.Alert)
			}
			if !slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) {
				t.Errorf("%s: severity %q", rule.Alert, rule.Labels["severity"])
			}
			for _, key := range []string{"summary", "description", "runbook_url"} {
				if rule.Annotations[key] == "" {
					t.Errorf("%s has no %s", rule.Alert, key)
				}
			}
			_, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "/docs/operations.md#")
			if anchor != strings.ToLower(rule.Alert) || !strings.Contains(page, "\n### "+rule.Alert+"\n") {
				t.Errorf("%s: docs/operations.md has no section %s, or the link is another one: %q", rule.Alert, rule.Alert, anchor)
			}
			if !strings.Contains(read(t, "config/monitoring/testdata/alerts.yaml"), `labels: '{alertname="`+rule.Alert+`"}', value: 1`) {
				t.Errorf("no test requires that %s fires", rule.Alert)
			}
		}
	}
	if count < 15 {
		t.Errorf("there are %d alerts", count)
	}
	object := parse[monitoringv1.PrometheusRule](t, read(t, "config/monitoring/prometheus_rule.yaml"))
	if !reflect.DeepEqual(object.Spec, *rules) {
		t.Error("prometheus_rule.yaml has not the rules of alerts.yaml: run make generate")
	}
}

// TestDashboard requires documented metrics, and that each metric of the project is shown.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, W int }
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "config/monitoring/dashboards/taskgroups.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	metrics, shown := documented(t), map[string]bool{}
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("panel %s has no query, or is outside of the grid", panel.Title)
		}
		for _, target := range panel.Targets {
			for _, metric := range check(t, panel.Title, target.Expr, metrics) {
				shown[metric] = true
			}
		}
	}
	for metric := range metrics {
		if strings.HasPrefix(metric, "taskgroup") && !shown[metric] {
			t.Errorf("no panel shows %s", metric)
		}
	}
}

// TestServiceMonitors requires that the monitors select the Services, and name their ports.
func TestServiceMonitors(t *testing.T) {
	type service struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct{ Ports []struct{ Name string } }
	}
	var services []service
	for _, file := range []string{"config/monitoring/metrics_service.yaml", "config/gateway/service.yaml"} {
		var s service
		if err := yaml.Unmarshal([]byte(read(t, file)), &s); err != nil {
			t.Fatal(err)
		}
		services = append(services, s)
	}
	documents := strings.Split(read(t, "config/monitoring/service_monitors.yaml"), "\n---\n")
	if len(documents) != len(services) {
		t.Fatalf("%d monitors for %d Services", len(documents), len(services))
	}
	for i, document := range documents {
		monitor := parse[monitoringv1.ServiceMonitor](t, document)
		for key, value := range monitor.Spec.Selector.MatchLabels {
			if services[i].Metadata.Labels[key] != value {
				t.Errorf("%s does not select its Service", monitor.Name)
			}
		}
		if len(monitor.Spec.Endpoints) != 1 || monitor.Spec.Endpoints[0].Port != services[i].Spec.Ports[0].Name {
			t.Errorf("%s has other ports than its Service", monitor.Name)
		}
		if monitor.Spec.JobLabel != "app.kubernetes.io/name" {
			t.Errorf("%s: the alerts select the job by %s", monitor.Name, monitor.Spec.JobLabel)
		}
	}
}

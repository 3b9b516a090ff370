// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// scraper reads metrics as Prometheus does.
type scraper struct {
	url, token string
	client     *http.Client
}

// newScraper returns a scraper with an account that may read metrics.
func newScraper(t *testing.T, ns, url string) *scraper {
	t.Helper()
	token := accountToken(t, ns, "scraper")
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: ns + "-scraper"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "taskgroup-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "scraper"}},
	}
	if err := cluster.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Client.Delete(context.Background(), binding) })
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &scraper{url: url, token: token, client: &http.Client{Transport: transport}}
}

// freePort returns an address of the loopback interface that no process uses.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (s *scraper) families(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s responds %s", s.url, answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(answer.Body)
}

// sum adds the values, or the counts of histograms, of the series with some labels. It
// returns how many series there are.
func sum(family *dto.MetricFamily, labels map[string]string) (value float64, series int) {
	for _, metric := range family.GetMetric() {
		matches := 0
		for _, pair := range metric.GetLabel() {
			if want, ok := labels[pair.GetName()]; ok && want == pair.GetValue() {
				matches++
			}
		}
		if matches == len(labels) {
			series++
			value += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return value, series
}

// await waits until the series with some labels have a sum that is accepted; none of them
// exists where series is 0.
func (s *scraper) await(t *testing.T, name string, labels map[string]string, accept func(value float64, series int) bool) float64 {
	t.Helper()
	var value float64
	err := rig.Await(t.Context(), fmt.Sprintf("the metric %s of %v", name, labels), func(ctx context.Context) (bool, string, error) {
		families, err := s.families(ctx)
		if err != nil {
			return false, err.Error(), nil //nolint:nilerr // the program may be starting
		}
		var series int
		value, series = sum(families[name], labels)
		return accept(value, series), fmt.Sprintf("%g in %d series", value, series), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func atLeast(least float64) func(float64, int) bool {
	return func(value float64, series int) bool { return series > 0 && value >= least }
}

func exactly(want float64) func(float64, int) bool {
	return func(value float64, series int) bool { return series > 0 && value == want }
}

func absent(_ float64, series int) bool { return series == 0 }

// requireDocumented compares the metrics of a program that has worked with docs/metrics.md:
// their names, and the types by the conventions of their names.
func (s *scraper) requireDocumented(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(cluster.Root, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	families, err := s.families(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("docs/metrics.md does not have %s", name)
		}
		if strings.HasPrefix(name, "taskgroup") && strings.HasSuffix(name, "_total") != (family.GetType() == dto.MetricType_COUNTER) {
			t.Errorf("%s has the type %s", name, family.GetType())
		}
	}
}

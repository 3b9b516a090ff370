// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: c, context: {cluster: c, user: ""}}]}`

// TestMetricsAreDocumented compares the registry of the gateway with docs/metrics.md.
func TestMetricsAreDocumented(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := parseOptions([]string{"--volume=" + t.TempDir(), "--kubeconfig=" + file}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	stored, err := openStorage(options, log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stored.close() }()
	parts, err := newParts(options, stored, log)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := docs.RegisteredMetrics(parts.registry)
	if err != nil {
		t.Fatal(err)
	}
	if len(metrics) < 14 {
		t.Fatalf("metrics %v", metrics)
	}
	if err := docs.CompareMetrics("../../docs/metrics.md", "gateway", metrics, *update); err != nil {
		t.Error(err)
	}
}

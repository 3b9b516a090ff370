// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package kueue

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

// TestDocumentedQueue applies the YAML of docs/queues.md, and waits for its group.
func TestDocumentedQueue(t *testing.T) {
	blocks, err := docs.Blocks(cluster.Root, "yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "block.yaml")
	for _, block := range blocks {
		if block.Page != "docs/queues.md" {
			continue
		}
		if err := os.WriteFile(file, []byte(block.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		kubectl(t, "apply", "-f", file)
	}
	tg := awaitReason(t, client.ObjectKey{Namespace: "research", Name: "queued"}, v1alpha1.ReasonCompleted)
	workload := kubectl(t, "-n", "research", "get", "workloads", "-o", "jsonpath={.items[*].spec.queueName} {.items[*].spec.priorityClassRef.name} {.items[*].spec.priority}")
	if workload != "experiments urgent 1000" {
		t.Errorf("the Workload of %s has the queue and priority %q", tg.Name, workload)
	}
}

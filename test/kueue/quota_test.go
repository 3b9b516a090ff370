// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package kueue

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// groupCount is how many groups share a quota; TASKGROUP_TEST_KUEUE_GROUPS sets it.
func groupCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TASKGROUP_TEST_KUEUE_GROUPS")
	if text == "" {
		return 40
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTeamsShareAQuota applies many groups of two teams at once: single tasks, packed
// groups and Parallel groups. The pods never exceed the quota, use all of it, and leave
// it free.
func TestTeamsShareAQuota(t *testing.T) {
	n := groupCount(t)
	var manifest []byte
	for i := range n {
		name, namespace, commands := fmt.Sprintf("shared-%d", i), namespaces[i%2], []string{"true"}
		if i%5 == 0 {
			commands = []string{"true", "true", "true"}
		}
		tg := queued(namespace, name, "10m", commands...)
		tg.APIVersion, tg.Kind = v1alpha1.GroupVersion.String(), "TaskGroup"
		tg.Labels[v1alpha1.QueuePriorityLabel] = "low"
		if i%10 == 0 {
			tg.Spec.Execution = v1alpha1.Parallel
		}
		raw, err := yaml.Marshal(tg)
		if err != nil {
			t.Fatal(err)
		}
		manifest = append(append(manifest, "---\n"...), raw...)
	}
	file := filepath.Join(t.TempDir(), "groups.yaml")
	if err := os.WriteFile(file, manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "-f", file)

	groups := awaitCompleted(t, n)
	for i := range groups {
		tg := &groups[i]
		if tg.Status.Attempt != 1 || tg.Status.Retries != nil {
			t.Errorf("%s took %d attempts and spent %+v", tg.Name, tg.Status.Attempt, tg.Status.Retries)
		}
		var job batchv1.Job
		if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: tg.Namespace, Name: tg.Status.Jobs[0].Name}, &job); err != nil {
			t.Fatal(err)
		}
		if queue, class := job.Labels[v1alpha1.QueueLabel], job.Labels[v1alpha1.QueuePriorityLabel]; queue != tg.Namespace || class != "low" {
			t.Errorf("Job %s has the queue %q and the priority class %q", job.Name, queue, class)
		}
	}
	if peak := pods.peak("teams"); peak != 80 {
		t.Errorf("the pods requested up to %d m of CPU, the quota is 80 m", peak)
	}
	awaitFree(t, "team-a")
	awaitFree(t, "team-b")
}

// awaitCompleted waits until all groups of both teams have completed. The limit applies
// to each further group, so that it does not depend on their number.
func awaitCompleted(t *testing.T, n int) []v1alpha1.TaskGroup {
	t.Helper()
	var groups []v1alpha1.TaskGroup
	for completed := 0; completed < n; {
		await(t, fmt.Sprintf("more than %d of %d groups to complete", completed, n), func(ctx context.Context) (bool, string, error) {
			groups = nil
			now := 0
			for _, namespace := range quotas["teams"] {
				var list v1alpha1.TaskGroupList
				if err := cluster.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
					return false, "", err
				}
				groups = append(groups, list.Items...)
			}
			for i := range groups {
				switch tg := &groups[i]; {
				case tg.Status.Reason() == v1alpha1.ReasonCompleted:
					now++
				case tg.Status.IsFinished():
					return false, "", fmt.Errorf("%s ended as %s: %s", tg.Name, tg.Status.Reason(), tg.Status.Message())
				}
			}
			more := now > completed
			completed = now
			return more, fmt.Sprintf("%d completed", now), nil
		})
	}
	return groups
}

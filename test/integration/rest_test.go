// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// defaultWaiting is how many groups wait at once. TASKGROUP_WAITING sets another
	// number, for example 2000.
	defaultWaiting = 300
	// atRest is for how long the requests of waiting groups are counted.
	atRest = 15 * time.Second
)

// waitingGroups is how many groups wait in this run.
func waitingGroups(t *testing.T) int {
	t.Helper()
	value := os.Getenv("TASKGROUP_WAITING")
	if value == "" {
		return defaultWaiting
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal("TASKGROUP_WAITING: ", err)
	}
	return n
}

// createMany creates groups in a namespace.
func createMany(t *testing.T, ns string, n int) {
	t.Helper()
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := worker; i < n; i += 8 {
				if err := cluster.Client.Create(t.Context(), testkit.New(ns, fmt.Sprintf("g-%04d", i)).Commands(1).Obj()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
}

// awaitAllQueued waits until every group reports that it waits, with a cause.
func awaitAllQueued(t *testing.T, ns string, n int, cause string) {
	t.Helper()
	err := rig.Await(t.Context(), "all groups to be Queued", func(ctx context.Context) (bool, string, error) {
		var groups v1alpha1.TaskGroupList
		if err := cluster.Client.List(ctx, &groups, client.InNamespace(ns)); err != nil {
			return false, "", err
		}
		queued := 0
		for i := range groups.Items {
			status := &groups.Items[i].Status
			if status.Reason() == v1alpha1.ReasonQueued && strings.Contains(status.Message(), cause) {
				queued++
			}
		}
		return queued == n, fmt.Sprintf("%d of %d", queued, n), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// requestsAtRest are the operator's requests in a namespace from now until atRest has
// passed.
func requestsAtRest(t *testing.T, ns string) []string {
	t.Helper()
	begin := time.Now()
	select {
	case <-time.After(atRest):
	case <-t.Context().Done():
	}
	all, err := cluster.Requests()
	if err != nil {
		t.Fatal(err)
	}
	var requests []string
	for i := range all {
		r := &all[i]
		if r.User.Username == rig.OperatorUser && r.Object.Namespace == ns && r.Received.After(begin) {
			requests = append(requests, fmt.Sprintf("%s %s %d", r.Verb, r.URI, r.Response.Code))
		}
	}
	return requests
}

// TestRefusedGroupsAreAtRest: a quota refuses the Jobs of many groups. One of them
// probes it with a backoff, and the others cause no request (I40). Groups of another
// namespace do not wait for them.
func TestRefusedGroupsAreAtRest(t *testing.T) {
	ns := namespace(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}
	if err := cluster.Client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	awaitQuota(t, quota)
	n := waitingGroups(t)
	createMany(t, ns, n)
	awaitAllQueued(t, ns, n, "exceeded quota")
	wantOthersPrompt(t)
	requests := requestsAtRest(t, ns)
	// The first backoffs are 5 s and 10 s, half of which is jitter.
	if len(requests) > 5 {
		t.Errorf("%d requests at rest, want at most 5:\n%s", len(requests), strings.Join(requests[:min(8, len(requests))], "\n"))
	}
	deleteGroups(t, ns)
}

// TestHeldGroupsAreAtRest: a queue holds the Jobs of many groups, which cause no
// request at all.
func TestHeldGroupsAreAtRest(t *testing.T) {
	ns := mutated(t, "jobs", suspendJob)
	n := waitingGroups(t)
	createMany(t, ns, n)
	awaitAllQueued(t, ns, n, "is held by its queue")
	wantOthersPrompt(t)
	if requests := requestsAtRest(t, ns); len(requests) > 0 {
		t.Errorf("%d requests at rest, want none:\n%s", len(requests), strings.Join(requests[:min(8, len(requests))], "\n"))
	}
	deleteGroups(t, ns)
}

// prompt is how long a group may take from its creation to its result on the fake
// node, while many others wait.
const prompt = 2 * time.Second

// wantOthersPrompt checks that groups of another namespace complete without delay.
func wantOthersPrompt(t *testing.T) {
	t.Helper()
	ns := namespace(t)
	for i := range 5 {
		began := time.Now()
		awaitReason(t, create(t, commands(ns, fmt.Sprintf("other-%d", i), 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
		took := time.Since(began)
		t.Logf("another group completed after %s", took.Round(time.Millisecond))
		if took > prompt {
			t.Errorf("another group completed after %s, want at most %s", took, prompt)
		}
	}
}

// deleteGroups deletes the groups of a namespace, and waits until they and their Jobs
// no longer exist, so that their number does not slow down other tests.
func deleteGroups(t *testing.T, ns string) {
	t.Helper()
	if err := cluster.Client.DeleteAllOf(t.Context(), &v1alpha1.TaskGroup{}, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), "the groups to be deleted", func(ctx context.Context) (bool, string, error) {
		var groups v1alpha1.TaskGroupList
		var jobs batchv1.JobList
		err := errors.Join(cluster.Client.List(ctx, &groups, client.InNamespace(ns)), cluster.Client.List(ctx, &jobs, client.InNamespace(ns)))
		return err == nil && len(groups.Items)+len(jobs.Items) == 0, fmt.Sprintf("%d groups, %d Jobs", len(groups.Items), len(jobs.Items)), err
	})
	if err != nil {
		t.Fatal(err)
	}
}

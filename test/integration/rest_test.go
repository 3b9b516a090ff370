//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// waitingGroups is how many groups wait at once.
	waitingGroups = 300
	// atRest is for how long the requests of waiting groups are counted.
	atRest = 15 * time.Second
)

// createMany creates groups in a namespace.
func createMany(t *testing.T, ns string, n int) {
	t.Helper()
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := worker; i < n; i += 8 {
				if err := cluster.Client.Create(t.Context(), testkit.New(ns, fmt.Sprintf("g-%03d", i)).Commands(1).Obj()); err != nil {
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

// TestRefusedGroupsAreAtRest: a quota refuses the Jobs of all groups. One of them
// probes it with a backoff, and the others cause no request (I40).
func TestRefusedGroupsAreAtRest(t *testing.T) {
	ns := namespace(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}
	if err := cluster.Client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), "the quota to count", func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)
		return len(quota.Status.Hard) > 0, "", err
	})
	if err != nil {
		t.Fatal(err)
	}
	createMany(t, ns, waitingGroups)
	awaitAllQueued(t, ns, waitingGroups, "exceeded quota")
	requests := requestsAtRest(t, ns)
	// The first backoffs are 5 s and 10 s, half of which is jitter.
	if len(requests) > 5 {
		t.Errorf("%d requests at rest, want at most 5:\n%s", len(requests), strings.Join(requests[:min(8, len(requests))], "\n"))
	}
	if err := cluster.Client.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
}

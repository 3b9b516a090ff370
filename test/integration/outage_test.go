// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// defaultOutage is long enough for the default backoffs of client-go and
	// controller-runtime to exceed recovery. TASKGROUP_OUTAGE sets another duration,
	// for example 10m.
	defaultOutage = 45 * time.Second
	// recovery is how soon after an outage every group must have its result.
	recovery = 20 * time.Second
)

// outageDuration is how long the API server is unreachable in this run.
func outageDuration() (time.Duration, error) {
	value := os.Getenv("TASKGROUP_OUTAGE")
	if value == "" {
		return defaultOutage, nil
	}
	outage, err := time.ParseDuration(value)
	if err != nil {
		return 0, fmt.Errorf("TASKGROUP_OUTAGE: %w", err)
	}
	return outage, nil
}

// TestOutageOfTheAPIServer: groups finish, start and are created while the operator
// cannot reach the API server. No result changes, and all of them follow soon after
// (invariant I36).
func TestOutageOfTheAPIServer(t *testing.T) {
	outage, err := outageDuration()
	if err != nil {
		t.Fatal(err)
	}
	proxy, ns := operatorBehindProxy(t)
	var keys []client.ObjectKey
	for i := range 10 {
		key := create(t, commands(ns, fmt.Sprintf("running-%d", i), 1), rig.Behaviour{Runs: true})
		awaitReason(t, key, v1alpha1.ReasonRunning)
		keys = append(keys, key)
	}
	reconnect := proxy.Disconnect()
	defer reconnect()
	began := time.Now()
	for _, key := range keys {
		behave(t, key, rig.Behaviour{})
	}
	for i := range 10 {
		keys = append(keys, create(t, commands(ns, fmt.Sprintf("new-%d", i), 1), rig.Behaviour{}))
	}
	<-time.After(time.Until(began.Add(outage)))
	reconnect()
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	for _, key := range keys {
		tg, err := cluster.AwaitFinished(ctx, key)
		if err != nil {
			t.Fatalf("%s after the outage: %v", recovery, err)
		}
		if got := tg.Status.Reason(); got != v1alpha1.ReasonCompleted || len(tg.Status.Jobs) != 1 {
			t.Errorf("group %s is %s after %d attempts", key.Name, got, len(tg.Status.Jobs))
		}
	}
	t.Logf("all groups had their result %s after the outage", time.Since(began)-outage)
}

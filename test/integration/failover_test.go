// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestFailover: of two replicas one works. When it is killed the other takes over
// within the lease's 15 s and two more; when it is sent SIGTERM, within three. A
// pod that runs is not touched (invariant I35).
func TestFailover(t *testing.T) {
	tests := map[string]struct {
		end   func(*rig.Operator)
		limit time.Duration
	}{
		"killed":      {(*rig.Operator).Kill, 17 * time.Second},
		"told to end": {(*rig.Operator).Stop, 3 * time.Second},
	}
	stopOperator(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t)
			leader := startReplica(t)
			running := create(t, commands(ns, "running", 1), rig.Behaviour{Runs: true})
			awaitReason(t, running, v1alpha1.ReasonRunning)
			pod := podOf(t, running)
			standby := startReplica(t)
			defer standby.Stop()
			awaitStandby(t, standby)

			tc.end(leader)
			ended := time.Now()
			// The lease is not renewed by now; what is created waits for the other.
			key := create(t, commands(ns, "waiting", 1), rig.Behaviour{})
			awaitReason(t, key, v1alpha1.ReasonCompleted)
			took := time.Since(ended)
			t.Logf("took over after %s", took.Round(time.Millisecond))
			if took > tc.limit {
				t.Errorf("took over after %s, want at most %s", took, tc.limit)
			}
			if after := podOf(t, running); after.UID != pod.UID || after.DeletionTimestamp != nil {
				t.Errorf("the pod that ran is not the same: %s, then %s", pod.UID, after.UID)
			}
			if err := node.Behave(t.Context(), running, rig.Behaviour{}); err != nil {
				t.Fatal(err)
			}
			awaitReason(t, running, v1alpha1.ReasonCompleted)
		})
	}
}

// awaitStandby waits until the last operator that was started has seen the lease:
// its time begins then.
func awaitStandby(t *testing.T, standby *rig.Operator) {
	t.Helper()
	err := rig.Await(t.Context(), "the standby to see the lease", func(context.Context) (bool, string, error) {
		raw, err := os.ReadFile(standby.Log)
		if err != nil {
			return false, "", err
		}
		// All operators write to one file.
		log := string(raw)
		tried := strings.LastIndex(log, "Attempting to acquire leader lease")
		return tried > strings.LastIndex(log, "Successfully acquired lease"), "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startReplica starts one of several operators of which one works at a time.
func startReplica(t *testing.T) *rig.Operator {
	t.Helper()
	replica, err := cluster.StartOperatorWith(t.Context(), rig.OperatorOptions{
		Flags: []string{"--leader-elect", "--leader-election-namespace=" + rig.OperatorNamespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	return replica
}

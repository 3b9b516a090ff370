// SPDX-License-Identifier: Apache-2.0

package build

import (
	"testing"
	"time"
)

// TestEstimate: the first estimate uses the times of the machine that measured them, the later
// ones follow the speed of this machine.
func TestEstimate(t *testing.T) {
	etcd, server, manager := Target{Name: "etcd"}, Target{Name: "kube-apiserver"}, Target{Name: "kube-controller-manager"}
	e := newEstimate([]Target{etcd, server, manager})
	if got := e.text(); got != "about 6 min left" {
		t.Error(got)
	}
	// Too little to know.
	e.add(etcd, time.Minute)
	if got := e.text(); got != "about 5 min left" {
		t.Error(got)
	}
	e.add(server, 540*time.Second-time.Minute)
	if got := e.text(); got != "about 2 min left" {
		t.Error(got)
	}
	e.add(manager, time.Minute)
	if got := e.remaining(); got != 0 {
		t.Error(got)
	}
}

// TestEveryTargetHasAnEstimate requires a time for each program of a cluster.
func TestEveryTargetHasAnEstimate(t *testing.T) {
	targets, err := Targets(modules, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if _, ok := seconds[target.Name]; !ok {
			t.Errorf("%s has none", target.Name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"slices"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestUnderFaults takes the suite's operator away, and gives each case what it
// needs in its own namespace: operators that are killed at one call, or one for
// all the others, behind a proxy that lets calls fail. Those of a batch run at once,
// since most of their time is waiting.
func TestUnderFaults(t *testing.T) {
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	stopOperator(t)
	// What takes longest goes with the first.
	others := map[string]func(*testing.T, string){
		"a node that is silent": nodeIsSilent, "a node that is gone": nodeIsGone, "a node that is out of service": nodeIsOutOfService,
	}
	for batch := range slices.Chunk(crashCases(), crashBatch) {
		underFaults(t, proxy, append(references(), batch...), others)
		others = nil
	}
}

// underFaults runs a batch, and looks at what became of it.
func underFaults(t *testing.T, proxy *rig.Proxy, cases []crashCase, others map[string]func(*testing.T, string)) {
	t.Helper()
	nodes := namespace(t)
	shared := []string{nodes}
	var all []string
	for i := range cases {
		c := &cases[i]
		c.namespace = namespace(t)
		all = append(all, c.namespace)
		if !c.endsOperator() {
			shared = append(shared, c.namespace)
		}
	}
	common, err := cluster.StartOperatorWith(t.Context(), rig.OperatorOptions{Proxy: proxy, Namespaces: shared})
	if err != nil {
		t.Fatal(err)
	}
	lived := t.Run("all", func(t *testing.T) {
		for name, test := range others {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, nodes)
			})
		}
		for i := range cases {
			t.Run(cases[i].name(), func(t *testing.T) {
				t.Parallel()
				cases[i].run(t, proxy)
			})
		}
	})
	common.Stop()
	if lived {
		compareCases(t, cases, all)
	}
}

// compareCases holds every case against the undisturbed one of its scenario
// (invariant I19), and all of them against all invariants.
func compareCases(t *testing.T, cases []crashCase, namespaces []string) {
	t.Helper()
	history, err := historyOf(t.Context(), namespaces...)
	if err != nil {
		t.Fatal(err)
	}
	if violations := check(history, invariants.Options{}); len(violations) > 0 {
		t.Errorf("%d invariants are broken:\n%s", len(violations), invariants.Report(history, violations))
	}
	references := map[string]string{}
	for i := range cases {
		if len(cases[i].points) == 0 {
			references[cases[i].scenario.name] = endOf(t, history.In(cases[i].namespace))
		}
	}
	for i := range cases {
		c := &cases[i]
		if got, want := endOf(t, history.In(c.namespace)), references[c.scenario.name]; got != want {
			t.Errorf("%s in %s:\n got %s\nwant %s", c.name(), c.namespace, got, want)
		}
	}
}

//go:build integration

package integration

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestUnderFaults takes the suite's operator away, and gives each case what it
// needs in its own namespace: an operator that is killed at one call, or one for
// all the others, behind a proxy that lets calls fail. All of them run at once,
// since most of their time is waiting for somebody.
func TestUnderFaults(t *testing.T) {
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	cases := crashCases(t)
	nodes := namespace(t)
	shared := []string{nodes}
	var all []string
	for i := range cases {
		c := &cases[i]
		c.namespace = namespace(t)
		all = append(all, c.namespace)
		if !c.fault.Kills() {
			shared = append(shared, c.namespace)
		}
	}
	stopOperator(t)
	common, err := cluster.StartOperatorWith(t.Context(), rig.OperatorOptions{Proxy: proxy, Namespaces: shared})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("all", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, string){
			"a node that is silent": nodeIsSilent, "a node that is gone": nodeIsGone, "a node that is out of service": nodeIsOutOfService,
		} {
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
	if t.Failed() {
		return
	}
	compareCases(t, cases, all)
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
		if cases[i].fault == "" {
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

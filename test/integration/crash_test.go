// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// The operator's calls that change something are numbered, and one or two of them
// fail, in every way that a call can (invariant I19). A change has all single faults
// of the first scenario and some of the others, and every pair of faults at one place
// of some scenario; TASKGROUP_CRASH=all has all of all.
const (
	sampledFaults = 7
	crashSeed     = 1
	// crashBatch is how many cases share an operator, a reference of each scenario and
	// one look at the history.
	crashBatch = 120
)

// scenario is a group's life whose end is the same whatever fails on the way.
type scenario struct {
	name string
	// calls is how many calls it takes at least.
	calls     int
	tasks     int
	execution v1alpha1.Execution
	change    func(*v1alpha1.TaskGroup)
	behaviour rig.Behaviour
	// live takes the group from its creation to its end.
	live func(*testing.T, client.ObjectKey)
}

// scenarios are run for both kinds of group.
var scenarios = slices.Concat(scenariosOf(v1alpha1.Sequential), scenariosOf(v1alpha1.Parallel))

func scenariosOf(execution v1alpha1.Execution) []scenario {
	// The pod of a Parallel group runs one task.
	failed := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(2)}
	if execution == v1alpha1.Parallel {
		failed.Message = failureRecord(1)
	}
	scenarios := []scenario{
		{name: "completes", calls: 3, tasks: 1, behaviour: rig.Behaviour{Runs: true}, live: func(t *testing.T, key client.ObjectKey) {
			awaitReason(t, key, v1alpha1.ReasonRunning)
			behave(t, key, rig.Behaviour{})
			awaitReason(t, key, v1alpha1.ReasonCompleted)
		}},
		{name: "retried", calls: 4, tasks: 2, change: func(tg *v1alpha1.TaskGroup) { tg.Spec.Retries.Limit = 1 },
			behaviour: rig.Behaviour{End: failed, Then: &rig.Behaviour{}},
			live:      func(t *testing.T, key client.ObjectKey) { awaitReason(t, key, v1alpha1.ReasonCompleted) }},
		{name: "cancelled", calls: 4, tasks: 2, behaviour: rig.Behaviour{Runs: true}, live: func(t *testing.T, key client.ObjectKey) {
			awaitReason(t, key, v1alpha1.ReasonRunning)
			cancel(t, key)
			awaitReason(t, key, v1alpha1.ReasonCancelled)
		}},
		{name: "suspended", calls: 7, tasks: 2, behaviour: rig.Behaviour{Runs: true, Then: &rig.Behaviour{}}, live: func(t *testing.T, key client.ObjectKey) {
			awaitReason(t, key, v1alpha1.ReasonRunning)
			patchSpec(t, key, `{"suspend":true}`)
			awaitReason(t, key, v1alpha1.ReasonSuspended)
			patchSpec(t, key, `{"suspend":false}`)
			awaitReason(t, key, v1alpha1.ReasonCompleted)
		}},
	}
	for i := range scenarios {
		scenarios[i].name += " " + string(execution)
		scenarios[i].execution = execution
	}
	return scenarios
}

// crashPoint is a call that fails, counted from 1 with those that failed before it.
type crashPoint struct {
	call  int
	fault rig.Fault
}

// crashCase is a scenario in which some calls fail; the undisturbed one where none
// does.
type crashCase struct {
	scenario  *scenario
	points    []crashPoint
	namespace string
}

func (c *crashCase) name() string {
	parts := []string{c.scenario.name}
	for _, p := range c.points {
		parts = append(parts, fmt.Sprintf("call %d: %s", p.call, p.fault))
	}
	return strings.Join(parts, ", ")
}

// endsOperator reports whether the operator terminates, so that the case needs its own.
func (c *crashCase) endsOperator() bool {
	return slices.ContainsFunc(c.points, func(p crashPoint) bool { return p.fault.Ends() })
}

// references are the undisturbed cases.
func references() []crashCase {
	var cases []crashCase
	for i := range scenarios {
		cases = append(cases, crashCase{scenario: &scenarios[i]})
	}
	return cases
}

// crashCases are those in which calls fail: all there are, or a sample that is the
// same in every run.
func crashCases() []crashCase {
	all := os.Getenv("TASKGROUP_CRASH") == "all"
	r := rand.New(rand.NewPCG(crashSeed, 0))
	var cases, pairs []crashCase
	for i := range scenarios {
		s := &scenarios[i]
		singles := singleFaults(s)
		r.Shuffle(len(singles), func(i, j int) { singles[i], singles[j] = singles[j], singles[i] })
		if i > 0 && !all {
			singles = singles[:sampledFaults]
		}
		cases = append(cases, singles...)
		pairs = append(pairs, pairedFaults(s)...)
	}
	if !all {
		pairs = onePlaceEach(r, pairs)
	}
	return append(cases, pairs...)
}

func singleFaults(s *scenario) []crashCase {
	var cases []crashCase
	for call := range s.calls {
		for _, fault := range rig.Faults {
			cases = append(cases, crashCase{scenario: s, points: []crashPoint{{call + 1, fault}}})
		}
	}
	return cases
}

// run lives the scenario; at the calls in question, things go wrong.
func (c *crashCase) run(t *testing.T, proxy *rig.Proxy) {
	end := func(rig.Fault) {}
	if c.endsOperator() {
		end = startSuccession(t, rig.OperatorOptions{Proxy: proxy, Namespaces: []string{c.namespace}}).next
	}
	for _, p := range c.points {
		proxy.Break(c.namespace, p.call, p.fault, func() { end(p.fault) })
	}
	tg := commands(c.namespace, "g", c.scenario.tasks)
	tg.Spec.Execution = c.scenario.execution
	if c.scenario.change != nil {
		c.scenario.change(tg)
	}
	c.scenario.live(t, create(t, tg, c.scenario.behaviour))
	if calls, hits := proxy.Calls(c.namespace); hits != len(c.points) {
		t.Errorf("%d of %d calls came: %v", hits, len(c.points), calls)
	}
}

// succession is one operator at a time: the next starts when the last has terminated.
type succession struct {
	options rig.OperatorOptions

	mu      sync.Mutex
	current *rig.Operator
	err     error
	over    bool
}

// startSuccession starts the first; the last ends with the test.
func startSuccession(t *testing.T, options rig.OperatorOptions) *succession {
	t.Helper()
	s := &succession{options: options}
	s.next(rig.DieBefore)
	if s.err != nil {
		t.Fatal(s.err)
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = true
		s.current.Kill()
		if s.err != nil {
			t.Error(s.err)
		}
	})
	return s
}

// next ends the operator as a fault does and starts another. The caller may be one of
// its calls.
func (s *succession) next(fault rig.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.current != nil {
		fault.End(s.current)
	}
	// Not the test's context: the test may be about to see the end of its group.
	next, err := cluster.StartOperatorWith(context.Background(), s.options)
	if err != nil {
		s.err = err
		return
	}
	s.current = next
}

// end is what must be the same whatever failed.
type end struct {
	Reason   v1alpha1.Reason
	Attempt  int32
	Attempts []string
	Tasks    []v1alpha1.TaskState
	Retries  *v1alpha1.RetryCounts
	Manifest bool
	// Created and Deleted count the Jobs and pods.
	Created, Deleted map[string]int
}

// endOf reads how a namespace's only group finished, and what it took.
func endOf(t *testing.T, history *invariants.History) string {
	t.Helper()
	e := end{Created: map[string]int{}, Deleted: map[string]int{}}
	for _, event := range history.Events {
		var kind string
		switch obj := event.Object.(type) {
		case *v1alpha1.TaskGroup:
			e.read(&obj.Status)
			continue
		case *batchv1.Job:
			kind = "Job"
		default:
			kind = "Pod"
		}
		switch event.Type {
		case watch.Added:
			e.Created[kind]++
		case watch.Deleted:
			e.Deleted[kind]++
		default:
		}
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (e *end) read(status *v1alpha1.TaskGroupStatus) {
	e.Reason, e.Attempt, e.Retries, e.Manifest = status.Reason(), status.Attempt, status.Retries, status.Manifest != nil
	e.Attempts, e.Tasks = nil, nil
	for i := range status.Jobs {
		e.Attempts = append(e.Attempts, string(status.Jobs[i].Reason))
	}
	for i := range status.Tasks {
		e.Tasks = append(e.Tasks, status.Tasks[i].State)
	}
}

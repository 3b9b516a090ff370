//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// The operator's calls that change something are numbered, and one of them fails,
// in every way that a call can. A change has all of the first scenario and some of
// the others; TASKGROUP_CRASH=all has all of all.
const (
	sampledFaults = 6
	crashSeed     = 1
)

// scenario is a group's life whose end is the same whatever fails on the way.
type scenario struct {
	name string
	// calls is how many calls it takes at least.
	calls     int
	tasks     int
	change    func(*v1alpha1.TaskGroup)
	behaviour rig.Behaviour
	// live takes the group from its creation to its end.
	live func(*testing.T, client.ObjectKey)
}

var scenarios = []scenario{
	{name: "completes", calls: 3, tasks: 1, behaviour: rig.Behaviour{Runs: true}, live: func(t *testing.T, key client.ObjectKey) {
		awaitReason(t, key, v1alpha1.ReasonRunning)
		behave(t, key, rig.Behaviour{})
		awaitReason(t, key, v1alpha1.ReasonCompleted)
	}},
	{name: "retried", calls: 4, tasks: 2, change: func(tg *v1alpha1.TaskGroup) { tg.Spec.Retries.Limit = 1 },
		behaviour: rig.Behaviour{
			End:  &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(2)},
			Then: &rig.Behaviour{},
		},
		live: func(t *testing.T, key client.ObjectKey) { awaitReason(t, key, v1alpha1.ReasonCompleted) }},
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
	{name: "parallel", calls: 3, tasks: 3, change: func(tg *v1alpha1.TaskGroup) { tg.Spec.Execution = v1alpha1.Parallel },
		behaviour: rig.Behaviour{Runs: true}, live: func(t *testing.T, key client.ObjectKey) {
			awaitReason(t, key, v1alpha1.ReasonRunning)
			behave(t, key, rig.Behaviour{})
			awaitReason(t, key, v1alpha1.ReasonCompleted)
		}},
}

// crashCase is a scenario in which one call fails; the undisturbed one where the
// fault is empty.
type crashCase struct {
	scenario  *scenario
	call      int
	fault     rig.Fault
	namespace string
}

func (c *crashCase) name() string {
	if c.fault == "" {
		return c.scenario.name
	}
	return fmt.Sprintf("%s, call %d: %s", c.scenario.name, c.call, c.fault)
}

func crashCases(t *testing.T) []crashCase {
	t.Helper()
	r := rand.New(rand.NewPCG(crashSeed, 0))
	var cases []crashCase
	for i := range scenarios {
		s := &scenarios[i]
		var all []crashCase
		for call := range s.calls {
			for _, fault := range rig.Faults {
				all = append(all, crashCase{scenario: s, call: call + 1, fault: fault})
			}
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if i > 0 && os.Getenv("TASKGROUP_CRASH") != "all" {
			all = all[:sampledFaults]
		}
		cases = append(append(cases, crashCase{scenario: s}), all...)
	}
	return cases
}

// run lives the scenario; at the call in question, things go wrong.
func (c *crashCase) run(t *testing.T, proxy *rig.Proxy) {
	died := make(chan struct{})
	kill := func() {}
	if c.fault.Kills() {
		options := rig.OperatorOptions{Proxy: proxy, Namespaces: []string{c.namespace}}
		first, err := cluster.StartOperatorWith(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		kill = func() {
			first.Kill()
			close(died)
		}
		next := make(chan *rig.Operator, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { next <- successor(ctx, died, options) }()
		t.Cleanup(func() {
			cancel()
			if second := <-next; second != nil {
				second.Kill()
				return
			}
			first.Kill()
		})
	}
	if c.fault != "" {
		proxy.Break(c.namespace, c.call, c.fault, kill)
	}
	tg := commands(c.namespace, "g", c.scenario.tasks)
	if c.scenario.change != nil {
		c.scenario.change(tg)
	}
	c.scenario.live(t, create(t, tg, c.scenario.behaviour))
	if calls, hit := proxy.Calls(c.namespace); c.fault != "" && !hit {
		t.Errorf("call %d never came: %v", c.call, calls)
	}
}

// successor starts an operator once the first has died; nil where it does not.
func successor(ctx context.Context, died <-chan struct{}, options rig.OperatorOptions) *rig.Operator {
	select {
	case <-ctx.Done():
		return nil
	case <-died:
	}
	second, err := cluster.StartOperatorWith(ctx, options)
	if err != nil {
		return nil
	}
	return second
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

// endOf reads how a namespace's only group ended, and what it took.
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
	e.Reason, e.Attempt, e.Retries, e.Manifest = plan.ReasonOf(status), status.Attempt, status.Retries, status.Manifest != nil
	e.Attempts, e.Tasks = nil, nil
	for i := range status.Jobs {
		e.Attempts = append(e.Attempts, status.Jobs[i].Reason)
	}
	for i := range status.Tasks {
		e.Tasks = append(e.Tasks, status.Tasks[i].State)
	}
}

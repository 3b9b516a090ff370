// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// The schedule is made of the seed alone, before anything happens: another run is
// had, or one replayed, with TASKGROUP_CHAOS_SEED, and made longer with
// TASKGROUP_CHAOS_DURATION. Two operators are active at once.
const (
	chaosDuration = 30 * time.Second
	// chaosSeed is the seed of a run that names none: the same acts for every change.
	chaosSeed   = 1
	chaosGroups = 40
	// chaosActs is how many things are done to groups, for each group.
	chaosActs = 4
)

// act is one thing that happens in a run.
type act struct {
	at   time.Duration
	name string
	do   func(*chaos)
	// loud is set for what is done to operators: it explains what groups went through.
	loud bool
}

// chaos is a run under way.
type chaos struct {
	t         *testing.T
	namespace string
	second    *rig.Operator
	done      map[string]int
}

// TestChaos does random things at random moments, stops, and waits until every
// group has finished or no longer exists (invariant I20). Whether all was well meanwhile is
// for the checkers to decide.
func TestChaos(t *testing.T) {
	seed, duration := chaosOptions(t)
	t.Logf("TASKGROUP_CHAOS_SEED=%d TASKGROUP_CHAOS_DURATION=%s", seed, duration)
	c := &chaos{t: t, namespace: namespace(t), done: map[string]int{}}
	c.startSecond()
	defer c.killSecond()
	defer operator.Resume()
	start := time.Now()
	for _, a := range schedule(rand.New(rand.NewPCG(seed, 0)), duration) {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(time.Until(start.Add(a.at))):
		}
		c.done[a.name]++
		if a.loud {
			t.Logf("%s %s", time.Now().UTC().Format("15:04:05.000"), a.name)
		}
		a.do(c)
	}
	c.calm()
	if err := awaitSettled(t.Context(), c.namespace); err != nil {
		t.Error(err)
	}
	history, err := historyOf(t.Context(), c.namespace)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, %d requests; acts: %v", len(history.Events), len(history.Requests), c.done)
	if violations := check(history, invariants.Options{}); len(violations) > 0 {
		t.Errorf("%d invariants are broken:\n%s", len(violations), invariants.Report(history, violations))
	}
}

func chaosOptions(t *testing.T) (seed uint64, duration time.Duration) {
	t.Helper()
	seed, duration = chaosSeed, chaosDuration
	var err error
	if s := os.Getenv("TASKGROUP_CHAOS_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("TASKGROUP_CHAOS_DURATION"); s != "" {
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	return seed, duration
}

// schedule is all that happens in a run, in order.
func schedule(r *rand.Rand, duration time.Duration) []act {
	var acts []act
	within := func(share float64) time.Duration { return time.Duration(r.Float64() * share * float64(duration)) }
	for i := range chaosGroups {
		name := "g" + strconv.Itoa(i)
		created := within(0.7)
		acts = append(acts, act{at: created, name: "create", do: randomGroup(r, name)})
		for range chaosActs {
			what, do := randomAct(r, name)
			// Most of what can go wrong goes wrong soon after a change.
			at := created + time.Duration(r.ExpFloat64()*float64(3*time.Second))
			acts = append(acts, act{at: min(at, duration), name: what, do: do})
		}
	}
	for at := within(0.1); at < duration; at += time.Second + within(0.1) {
		pause := 200*time.Millisecond + time.Duration(r.Int64N(int64(2*time.Second)))
		acts = append(acts, operatorActs(r.IntN(3), at, pause)...)
	}
	slices.SortStableFunc(acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
	return acts
}

// operatorActs stop an operator for a while. Other than a kill, a pause leaves its
// caches and its memory as they were, each at a moment of its own.
func operatorActs(kind int, at, pause time.Duration) []act {
	switch kind {
	case 0:
		return []act{
			{at, "pause first", func(*chaos) { operator.Pause() }, true},
			{at + pause, "resume first", func(*chaos) { operator.Resume() }, true},
		}
	case 1:
		return []act{
			{at, "pause second", func(c *chaos) { c.signalSecond((*rig.Operator).Pause) }, true},
			{at + pause, "resume second", func(c *chaos) { c.signalSecond((*rig.Operator).Resume) }, true},
		}
	default:
		return []act{{at, "kill second", (*chaos).killSecond, true}, {at + pause, "start second", (*chaos).startSecond, true}}
	}
}

// randomGroup creates a group of any shape whose pods do anything.
func randomGroup(r *rand.Rand, name string) func(*chaos) {
	tasks := 1 + r.IntN(3)
	tg := commands("", name, tasks)
	tg.Spec.Retries = &v1alpha1.Retries{Limit: r.Int32N(2), InfrastructureLimit: new(r.Int32N(2))}
	tg.Spec.Suspend = r.IntN(10) == 0
	records := tasks
	if r.IntN(4) == 0 {
		tg.Spec.Execution = v1alpha1.Parallel
		records = 1
	}
	behaviour := randomBehaviour(r, records)
	return func(c *chaos) {
		tg := tg.DeepCopy()
		tg.Namespace = c.namespace
		c.must(node.Behave(c.t.Context(), client.ObjectKeyFromObject(tg), behaviour))
		c.must(cluster.Client.Create(c.t.Context(), tg))
	}
}

func randomBehaviour(r *rand.Rand, records int) rig.Behaviour {
	switch r.IntN(8) {
	case 0:
		return rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(records)}}
	case 1:
		return rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	case 2:
		return rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}, Disrupted: "PreemptionByScheduler"}
	case 3:
		return rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
	case 4:
		return rig.Behaviour{}
	default:
		return rig.Behaviour{Runs: true}
	}
}

// failureRecord is what a runner leaves whose last task raised.
func failureRecord(tasks int) string {
	message := contract.TerminationMessage{
		Failure:        &contract.Failure{Reason: contract.ReasonTaskError, Message: "boom"},
		ManifestSHA256: rig.AnyDigest,
	}
	for range tasks - 1 {
		message.States = append(message.States, contract.TaskCompleted)
	}
	message.States = append(message.States, contract.TaskFailed)
	raw, err := contract.EncodeTerminationMessage(&message)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// randomAct does something to a group that may be there or not.
func randomAct(r *rand.Rand, name string) (string, func(*chaos)) {
	propagation := []metav1.DeletionPropagation{
		metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan,
	}[r.IntN(3)]
	switch r.IntN(9) {
	case 0:
		return "cancel", func(c *chaos) { c.patch(name, `{"spec":{"cancel":true}}`) }
	case 1, 2:
		return "delete Job " + string(propagation), func(c *chaos) {
			c.must(cluster.Client.DeleteAllOf(c.t.Context(), &batchv1.Job{}, client.InNamespace(c.namespace),
				client.MatchingLabels{v1alpha1.NameLabel: name}, client.PropagationPolicy(propagation)))
		}
	case 3:
		return "delete", func(c *chaos) { c.must(cluster.Client.Delete(c.t.Context(), c.group(name))) }
	case 4:
		return "recreate", func(c *chaos) {
			c.must(cluster.Client.Delete(c.t.Context(), c.group(name)))
			c.must(cluster.Client.Create(c.t.Context(), commands(c.namespace, name, 1)))
		}
	case 5:
		return "suspend", func(c *chaos) { c.patch(name, `{"spec":{"suspend":true}}`) }
	case 6:
		return "resume", func(c *chaos) { c.patch(name, `{"spec":{"suspend":false}}`) }
	case 7:
		return "delete pods", func(c *chaos) {
			c.must(cluster.Client.DeleteAllOf(c.t.Context(), &corev1.Pod{}, client.InNamespace(c.namespace), client.MatchingLabels{v1alpha1.NameLabel: name}))
		}
	default:
		return "let complete", func(c *chaos) {
			c.must(node.Behave(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, rig.Behaviour{}))
		}
	}
}

// calm takes back everything that may keep a group from its end.
func (c *chaos) calm() {
	operator.Resume()
	c.killSecond()
	c.startSecond()
	var groups v1alpha1.TaskGroupList
	c.must(cluster.Client.List(c.t.Context(), &groups, client.InNamespace(c.namespace)))
	for i := range groups.Items {
		c.patch(groups.Items[i].Name, `{"spec":{"suspend":false}}`)
	}
	// Also of groups that no longer exist: a user may have orphaned their pods.
	for i := range chaosGroups {
		key := client.ObjectKey{Namespace: c.namespace, Name: "g" + strconv.Itoa(i)}
		c.must(node.Behave(c.t.Context(), key, rig.Behaviour{}))
	}
}

func (c *chaos) group(name string) *v1alpha1.TaskGroup {
	return &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}}
}

func (c *chaos) patch(name, patch string) {
	c.must(cluster.Client.Patch(c.t.Context(), c.group(name), client.RawPatch("application/merge-patch+json", []byte(patch))))
}

// must accepts that a group no longer exists, or exists already: others act too.
func (c *chaos) must(err error) {
	c.t.Helper()
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return
	}
	c.t.Fatal(fmt.Errorf("acting: %w", err))
}

func (c *chaos) startSecond() {
	if c.second != nil {
		return
	}
	var err error
	if c.second, err = cluster.StartOperator(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) killSecond() {
	if c.second != nil {
		c.second.Kill()
		c.second = nil
	}
}

func (c *chaos) signalSecond(signal func(*rig.Operator)) {
	if c.second != nil {
		signal(c.second)
	}
}

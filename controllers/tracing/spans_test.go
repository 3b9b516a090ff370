// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func at(seconds int) metav1.Time {
	return metav1.Time{Time: testkit.Created.Add(time.Duration(seconds) * time.Second)}
}

// finished returns a group with two attempts: the first one lost its node.
func finished(name string, reason v1alpha1.Reason) *v1alpha1.TaskGroup {
	tg := testkit.TaskGroup(name).Obj()
	tg.UID, tg.CreationTimestamp = types.UID("uid-of-"+name), at(0)
	tg.Spec.DispatchID, tg.Spec.TaskGroupID = "dispatch", new(int64(7))
	succeeded, started, closed, completed := metav1.ConditionFalse, at(10), at(30), at(60)
	if reason == v1alpha1.ReasonCompleted {
		succeeded = metav1.ConditionTrue
	}
	tg.Status = v1alpha1.TaskGroupStatus{
		StartTime: &started, CompletionTime: &completed, Attempt: 2, Summary: "1/1",
		Conditions: []metav1.Condition{
			{Type: string(v1alpha1.ConditionSucceeded), Status: succeeded, Reason: string(reason), Message: "the message"},
			{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: string(reason)},
		},
		Jobs: []v1alpha1.JobReference{
			{Name: name + "-1", UID: "job-1", Attempt: 1, Reason: v1alpha1.ReasonNodeLost, Message: "no heartbeat", CompletionTime: &closed},
			{Name: name + "-2", UID: "job-2", Attempt: 2},
		},
	}
	return tg
}

// podOf returns the pod of a Job, which terminated.
func podOf(job types.UID, created, started, ended int) corev1.Pod {
	pod := corev1.Pod{Spec: corev1.PodSpec{NodeName: "node"}}
	pod.Name, pod.UID, pod.CreationTimestamp = "pod-of-"+string(job), "pod-of-"+job, at(created)
	pod.OwnerReferences = []metav1.OwnerReference{{UID: job, Controller: new(true)}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(started), FinishedAt: at(ended)}}}}
	return pod
}

// row is what the tests compare of a span.
type row struct {
	Name, Parent        string
	Start, End, Started int
	Failure             string
}

// rows returns the spans with the names of their parents, and seconds.
func rows(spans []span) []row {
	names := map[string]string{}
	for i := range spans {
		names[spans[i].id.String()] = spans[i].name
	}
	var all []row
	for i := range spans {
		s := &spans[i]
		r := row{Name: s.name, Parent: names[s.parent.String()], Start: since(s.start), End: since(s.end), Failure: s.failure}
		if !s.started.IsZero() {
			r.Started = since(s.started)
		}
		all = append(all, r)
	}
	return all
}

func since(t time.Time) int { return int(t.Sub(testkit.Created).Seconds()) }

func TestSpans(t *testing.T) {
	early := finished("g", v1alpha1.ReasonCompleted)
	// The clock of the node is behind that of the API server.
	early.Status.StartTime = &metav1.Time{Time: testkit.Created.Add(-5 * time.Second)}
	unstarted := finished("g", v1alpha1.ReasonQuotaExceeded)
	unstarted.Status.StartTime, unstarted.Status.Jobs = nil, nil
	running := finished("g", v1alpha1.ReasonCompleted)
	running.Status.Conditions = nil
	group := row{Name: "TaskGroup", End: 60}
	first := row{Name: "Attempt", Parent: "TaskGroup", End: 30, Failure: "no heartbeat"}
	second := row{Name: "Attempt", Parent: "TaskGroup", Start: 30, End: 60}
	for name, tc := range map[string]struct {
		group *v1alpha1.TaskGroup
		pods  []corev1.Pod
		want  []row
	}{
		"two attempts, one of whose pods was deleted": {
			finished("g", v1alpha1.ReasonCompleted), []corev1.Pod{podOf("job-2", 31, 40, 58), podOf("other", 0, 0, 0)},
			[]row{group, {Name: "Wait", Parent: "TaskGroup", End: 10}, first, second, {Name: "Pod", Parent: "Attempt", Start: 31, End: 58, Started: 40}},
		},
		"a failure": {
			finished("g", v1alpha1.ReasonExitCode), nil,
			[]row{
				{Name: "TaskGroup", End: 60, Failure: "the message"},
				{Name: "Wait", Parent: "TaskGroup", End: 10}, first,
				{Name: "Attempt", Parent: "TaskGroup", Start: 30, End: 60, Failure: "ExitCode"},
			},
		},
		"clocks that differ":       {early, nil, []row{group, {Name: "Wait", Parent: "TaskGroup"}, first, second}},
		"a group that never ran":   {unstarted, nil, []row{{Name: "TaskGroup", End: 60, Failure: "the message"}}},
		"a group that is not done": {running, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, rows(spansOf(tc.group, tc.pods))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEssential requires the same spans of the part of a group that is kept in memory.
func TestEssential(t *testing.T) {
	tg := finished("g", v1alpha1.ReasonExitCode)
	tg.Annotations = map[string]string{"other": "x", v1alpha1.TraceparentAnnotation: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	if want, got := spansOf(tg, nil), spansOf(essential(tg), nil); !reflect.DeepEqual(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestIDs requires IDs that depend on the objects only.
func TestIDs(t *testing.T) {
	pods := []corev1.Pod{podOf("job-1", 0, 10, 30), podOf("job-2", 31, 40, 58)}
	spans, again := spansOf(finished("a", v1alpha1.ReasonCompleted), pods), spansOf(finished("a", v1alpha1.ReasonCompleted), pods)
	seen := map[string]bool{}
	for i := range spans {
		if spans[i].id != again[i].id || spans[i].trace != again[i].trace || !spans[i].id.IsValid() {
			t.Errorf("the IDs of %s are not the same again", spans[i].name)
		}
		if seen[spans[i].id.String()] {
			t.Errorf("two spans have the ID %s", spans[i].id)
		}
		seen[spans[i].id.String()] = true
	}
	// The wire format of the IDs: a change splits the traces of groups that exist.
	if got, want := spans[0].trace.String()+" "+spans[0].id.String(), "1ed57a4b706a08e6f04421172ebe3714 f8fa58bd2954999f"; got != want {
		t.Errorf("the IDs are %s, want %s", got, want)
	}
	other := finished("b", v1alpha1.ReasonCompleted)
	if traceID(other) != spans[0].trace || groupID(other) == spans[0].id {
		t.Error("the groups of a dispatch have one trace, and spans of their own")
	}
	other.Spec.DispatchID = ""
	if traceID(other) == spans[0].trace {
		t.Error("a group without a dispatch has a trace of its own")
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for annotation, want := range map[string]string{parent: "0af7651916cd43dd8448eb211c80319c b7ad6b7169203331", "00-0-0-01": spans[0].trace.String() + " 0000000000000000"} {
		traced := finished("c", v1alpha1.ReasonCompleted)
		traced.Annotations = map[string]string{v1alpha1.TraceparentAnnotation: annotation}
		root := spansOf(traced, nil)[0]
		if got := root.trace.String() + " " + root.parent.String(); got != want {
			t.Errorf("%s: got %s, want %s", annotation, got, want)
		}
	}
}

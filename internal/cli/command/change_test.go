// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestCancelSuspendResume(t *testing.T) {
	b := newBench(t, samples()...)
	b.want(exitDone, "cancel", "demo-run", "needs-ssd")
	if diff := cmp.Diff("taskgroup.kubernetes.covalent.xyz/demo-run cancelling\ntaskgroup.kubernetes.covalent.xyz/needs-ssd cancelling\n", b.out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !b.get("demo-run").Spec.Cancel || !b.get("needs-ssd").Spec.Cancel {
		t.Error("spec.cancel is not set")
	}
	b.want(exitDone, "suspend", "new")
	if !b.get("new").Spec.Suspend {
		t.Error("spec.suspend is not set")
	}
	b.want(exitDone, "resume", "new")
	if b.get("new").Spec.Suspend {
		t.Error("spec.suspend is still set")
	}
}

func TestChangesThatChangeNothing(t *testing.T) {
	cancelling := testkit.RunningSample("cancelling")
	cancelling.Spec.Cancel = true
	for want, args := range map[string][]string{
		"commands has finished already, as Completed: nothing to cancel":   {"cancel", "commands"},
		"cancelling is being cancelled already: nothing to cancel":         {"cancel", "cancelling"},
		"demo-run is not suspended: nothing to resume":                     {"resume", "demo-run"},
		"nothing to suspend in the namespace team-a":                       {"suspend", "-l", "no=body"},
		"too-much-memory has finished already, as OOMKilled: nothing to s": {"suspend", "too-much-memory"},
	} {
		b := newBench(t, append(samples(), cancelling)...)
		b.want(exitDone, args...)
		if b.out.Len() > 0 || !strings.Contains(b.err.String(), want) {
			t.Errorf("%v says %q and %q, want %q", args, b.out.String(), b.err.String(), want)
		}
	}
}

func TestCancelBySelector(t *testing.T) {
	labelled, ended := testkit.RunningSample("labelled"), testkit.CompletedSample("ended")
	labelled.Labels, ended.Labels = map[string]string{"team": "a"}, map[string]string{"team": "a"}
	b := newBench(t, append(samples(), labelled, ended)...)
	b.want(exitDone, "cancel", "-l", "team=a")
	if got := b.out.String(); got != "taskgroup.kubernetes.covalent.xyz/labelled cancelling\n" {
		t.Errorf("said %q", got)
	}
	if b.get("demo-run").Spec.Cancel || b.get("ended").Spec.Cancel {
		t.Error("more was cancelled than was asked for")
	}
	b.want(exitUsage, "cancel")
	b.want(exitFailed, "cancel", "nobody")
}

// TestCancelOfADispatcher is for those whose dispatcher no longer exists.
func TestCancelOfADispatcher(t *testing.T) {
	long := strings.Repeat("d", 70)
	one, two, three := testkit.RunningSample("one"), testkit.RunningSample("two"), testkit.RunningSample("three")
	one.Labels = map[string]string{v1alpha1.DispatcherLabel: "lab", v1alpha1.DispatchLabel: "d1"}
	two.Labels = map[string]string{v1alpha1.DispatcherLabel: "lab", v1alpha1.DispatchLabel: executor.DispatchLabel(long), "team": "a"}
	three.Labels = map[string]string{v1alpha1.DispatcherLabel: "other", v1alpha1.DispatchLabel: "d1"}
	for want, args := range map[string][]string{
		"one two":   {"--dispatcher", "lab"},
		"one three": {"--dispatch", "d1"},
		"two":       {"--dispatch", long},
		"three":     {"--dispatcher", "other", "--dispatch", "d1"},
		"":          {"-l", "team=a", "--dispatcher", "other"},
	} {
		b := newBench(t, one, two, three)
		b.want(exitDone, append([]string{"cancel"}, args...)...)
		var cancelled []string
		for _, name := range []string{"one", "three", "two"} {
			if b.get(name).Spec.Cancel {
				cancelled = append(cancelled, name)
			}
		}
		slices.Sort(cancelled)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if !slices.Equal(cancelled, wanted) {
			t.Errorf("%v cancelled %v, want %v", args, cancelled, wanted)
		}
	}
	newBench(t, one).want(exitUsage, "cancel", "--dispatcher", "no label")
}

func TestRetry(t *testing.T) {
	former := testkit.OOMKilledSample("g")
	former.Labels = map[string]string{"team": "a"}
	former.Spec.Suspend, former.Spec.DispatchID = true, ""
	b := newBench(t, former, testkit.RunningSample("g-r1"), testkit.RunningSample("runs"))
	b.want(exitDone, "retry", "g", "--memory", "2Gi", "--image", "other:1")
	again := b.get("g-r2")
	want := former.DeepCopy().Spec
	want.Suspend = false
	want.Pod.Image = "other:1"
	memory := v1alpha1.Amounts{corev1.ResourceMemory: {Text: "2Gi"}}
	if diff := cmp.Diff(&v1alpha1.Resources{Requests: memory, Limits: memory}, again.Spec.Pod.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	want.Pod.Resources, again.Spec.Pod.Resources = nil, nil
	if diff := cmp.Diff(want, again.Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again.Labels["team"] != "a" || len(again.Status.Conditions) > 0 {
		t.Errorf("labels are %v, status is %+v", again.Labels, again.Status)
	}
	if !strings.Contains(b.err.String(), "finished as OOMKilled") {
		t.Errorf("it does not say how: %s", b.err.String())
	}
	b.want(exitFailed, "retry", "runs")
	if !strings.Contains(b.err.String(), "next: wait for its end") {
		t.Errorf("one that runs: %s", b.err.String())
	}
	signed := testkit.OOMKilledSample("signed")
	signed.Spec.DispatchID = ""
	signed.Spec.Pod.VolumeMounts = []v1alpha1.VolumeMount{{Name: "urls", MountPath: contract.SignedURLsDir}}
	refusing := newBench(t, signed)
	refusing.want(exitFailed, "retry", "signed")
	if !strings.Contains(refusing.err.String(), "next: dispatch its workflow again") {
		t.Errorf("one that was sent with presign: %s", refusing.err.String())
	}
	b.want(exitUsage, "retry", "g", "--memory", "much")
	b.want(exitDone, "retry", "g", "--dry-run")
	golden(t, "retry.yaml", b.out.String())
	var list v1alpha1.TaskGroupList
	if err := b.client.List(t.Context(), &list); err != nil || len(list.Items) != 4 {
		t.Errorf("a dry run left %d groups (%v)", len(list.Items), err)
	}
}

// TestChangesContinueAfterAnError: a group that a TTL deleted, or a request that the API
// server refused, must not keep the other groups running.
func TestChangesContinueAfterAnError(t *testing.T) {
	t.Parallel()
	var groups []client.Object
	for _, name := range []string{"a", "b", "c", "d"} {
		groups = append(groups, testkit.RunningSample(name))
	}
	resource := schema.GroupResource{Group: v1alpha1.GroupName, Resource: "taskgroups"}
	for name, tc := range map[string]struct {
		args []string
		err  error
		code int
		want string
	}{
		"selected and deleted": {[]string{"--all"}, apierrors.NewNotFound(resource, "b"), exitDone, "b no longer exists: nothing to cancel\n"},
		"named and deleted":    {[]string{"a", "b", "c", "d"}, apierrors.NewNotFound(resource, "b"), exitFailed, "error: TaskGroup b no longer exists in the namespace team-a\n"},
		"refused":              {[]string{"--all"}, apierrors.NewForbidden(resource, "b", nil), exitFailed, "forbidden"},
		"never created":        {[]string{"x", "a", "c", "d", "y"}, nil, exitFailed, `there is no TaskGroup "y"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBenchWith(t, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				if o.GetName() == "b" {
					return tc.err
				}
				return c.Patch(ctx, o, p, opts...)
			}}, groups...)
			b.want(tc.code, append([]string{"cancel"}, tc.args...)...)
			for _, name := range []string{"a", "c", "d"} {
				if !b.get(name).Spec.Cancel || !strings.Contains(b.out.String(), "/"+name+" cancelling\n") {
					t.Errorf("%s is not cancelled: %s", name, b.out.String())
				}
			}
			if got := b.err.String(); !strings.Contains(got, tc.want) || strings.Contains(got, "did you mean \"b\"") {
				t.Errorf("reported %q, want %q", got, tc.want)
			}
			if name == "never created" && !strings.Contains(b.err.String(), `there is no TaskGroup "x"`) {
				t.Errorf("only one error is reported: %s", b.err.String())
			}
		})
	}
}

func TestCancelInAllNamespaces(t *testing.T) {
	t.Parallel()
	other := testkit.RunningSample("g")
	other.Namespace, other.UID = "team-b", "uid-of-g-in-team-b"
	b := newBench(t, testkit.RunningSample("g"), other)
	b.want(exitDone, "cancel", "--all")
	var tg v1alpha1.TaskGroup
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(other), &tg); err != nil || tg.Spec.Cancel {
		t.Errorf("--all without -A cancelled a group of another namespace (%v)", err)
	}
	b.want(exitTimeout, "cancel", "-A", "--all", "--wait", "--timeout", "1ms")
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(other), &tg); err != nil || !tg.Spec.Cancel {
		t.Errorf("-A did not cancel a group of another namespace (%v)", err)
	}
	b.want(exitUsage, "cancel", "-A", "g")
	b.want(exitUsage, "cancel", "-A")
}

func TestDescribeAndTimelineContinueAfterAnError(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"describe", "timeline"} {
		b := newBench(t, samples()...)
		b.want(exitFailed, command, "nothing", "commands")
		if !strings.Contains(b.out.String(), "commands") || !strings.Contains(b.err.String(), `there is no TaskGroup "nothing"`) {
			t.Errorf("%s printed %q and %q", command, b.out.String(), b.err.String())
		}
	}
}

// TestRetryOfAGroupOfAWorkflow: the workflow cannot receive the result of a new group.
func TestRetryOfAGroupOfAWorkflow(t *testing.T) {
	t.Parallel()
	former := testkit.OOMKilledSample("g")
	former.Labels = map[string]string{v1alpha1.DispatchLabel: "d", v1alpha1.DispatcherLabel: "lab", "team": "a"}
	former.Spec.Callback = &v1alpha1.Callback{URL: "http://dispatcher:48008"}
	b := newBench(t, former)
	b.want(exitFailed, "retry", "g")
	if !strings.Contains(b.err.String(), `next: run ct.redispatch("`+former.Spec.DispatchID+`"`) {
		t.Errorf("reported %s", b.err.String())
	}
	b.want(exitDone, "retry", "g", "--detach")
	again := b.get("g-r1")
	if again.Spec.DispatchID != "" || again.Spec.Callback != nil {
		t.Errorf("the new group reports to the workflow: %+v", again.Spec)
	}
	if diff := cmp.Diff(map[string]string{"team": "a"}, again.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, interceptor.Funcs{Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
		if o.GetName() == "demo-run" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "taskgroups"}, "demo-run", nil)
		}
		return c.Delete(ctx, o, opts...)
	}}, samples()...)
	b.want(exitFailed, "delete", "demo-run", "nothing", "commands")
	if b.out.String() != "taskgroup.kubernetes.covalent.xyz/commands deleted\n" || strings.Count(b.err.String(), "error: ") != 2 {
		t.Errorf("printed %q and %q", b.out.String(), b.err.String())
	}
	b.want(exitUsage, "delete")
	b.want(exitFailed, "delete", "--all")
	var list v1alpha1.TaskGroupList
	if err := b.client.List(t.Context(), &list); err != nil || len(list.Items) != 1 {
		t.Errorf("%d groups remain (%v)", len(list.Items), err)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	event := func(name, group string, after time.Duration) *corev1.Event {
		return &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: testkit.Namespace, Name: name},
			InvolvedObject: corev1.ObjectReference{Name: group, UID: types.UID("uid-of-" + group)},
			Type:           "Normal", Reason: "Started", Message: "Attempt 1 started", EventTime: metav1.MicroTime{Time: testkit.After(after).Time},
		}
	}
	b := newBench(t, append(samples(), event("1", "demo-run", 20*time.Second), event("2", "commands", 10*time.Second), event("3", "new", time.Second))...)
	b.want(exitFailed, "events", "demo-run", "commands", "nothing")
	want := "AGE   TYPE     REASON    NAME       MESSAGE\n50s   Normal   Started   commands   Attempt 1 started\n40s   Normal   Started   demo-run   Attempt 1 started\n"
	if diff := cmp.Diff(want, b.out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.want(exitDone, "events", "-A", "--all", "--no-headers")
	if strings.Count(b.out.String(), "team-a") != 3 || strings.Contains(b.out.String(), "REASON") {
		t.Errorf("of all namespaces: %s", b.out.String())
	}
}

//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// crashOperator ends the suite's operator as a crash would, and starts it anew
// when the test says so, at its end at the latest.
func crashOperator(t *testing.T) (start func()) {
	t.Helper()
	operator.Kill()
	return operatorAgain(t)
}

// stopOperator takes the suite's operator away until the test's end.
func stopOperator(t *testing.T) {
	t.Helper()
	operator.Stop()
	operatorAgain(t)
}

// operatorBehindProxy replaces the suite's operator, until the end of the test, by one
// that works for a namespace of its own and reaches the API server through a proxy.
func operatorBehindProxy(t *testing.T) (proxy *rig.Proxy, ns string) {
	t.Helper()
	stopOperator(t)
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	ns = namespace(t)
	behind, err := cluster.StartOperatorWith(t.Context(), rig.OperatorOptions{Proxy: proxy, Namespaces: []string{ns}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.Stop)
	return proxy, ns
}

func operatorAgain(t *testing.T) (start func()) {
	t.Helper()
	start = sync.OnceFunc(func() {
		next, err := cluster.StartOperator(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		operator = next
	})
	t.Cleanup(start)
	return start
}

// jobEnded waits until the Job controller has seen the end of a group's pod.
func jobEnded(t *testing.T, key client.ObjectKey) {
	t.Helper()
	err := rig.Await(t.Context(), "the Job to end", func(context.Context) (bool, string, error) {
		job := jobsOf(t, key)["1"]
		for _, c := range job.Status.Conditions {
			if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("%+v", job.Status), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// podGone deletes a group's pod, as PodGC does, and waits until it is gone.
func podGone(t *testing.T, key client.ObjectKey) {
	t.Helper()
	pod := podOf(t, key)
	if err := cluster.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), "the pod to go", func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return apierrors.IsNotFound(err), string(pod.Status.Phase), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOperatorDownMeanwhile: whatever happened while nobody looked is found, and
// told of, by the operator that comes after.
func TestOperatorDownMeanwhile(t *testing.T) {
	ns := namespace(t)
	meanwhile := map[string]struct {
		do   func(*testing.T, client.ObjectKey)
		want v1alpha1.Reason
		says string
	}{
		"ended": {func(t *testing.T, key client.ObjectKey) { behave(t, key, rig.Behaviour{}) }, v1alpha1.ReasonCompleted, "The task completed"},
		"ended-and-collected": {func(t *testing.T, key client.ObjectKey) {
			behave(t, key, rig.Behaviour{})
			jobEnded(t, key)
			podGone(t, key)
		}, v1alpha1.ReasonCompleted, "the pod was deleted before its termination message was read"},
		"failed-and-collected": {func(t *testing.T, key client.ObjectKey) {
			behave(t, key, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}})
			jobEnded(t, key)
			podGone(t, key)
		}, v1alpha1.ReasonUnknown, "was deleted before its result was read"},
		"cancelled":   {cancel, v1alpha1.ReasonCancelled, "Cancelled through spec.cancel"},
		"job-deleted": {deleteJob(metav1.DeletePropagationBackground), v1alpha1.ReasonCancelled, "Cancelled by deleting its Job"},
		"suspended":   {func(t *testing.T, key client.ObjectKey) { patchSpec(t, key, `{"suspend":true}`) }, v1alpha1.ReasonSuspended, ""},
	}
	keys := map[string]client.ObjectKey{}
	for name := range meanwhile {
		keys[name] = create(t, commands(ns, name, 1), rig.Behaviour{Runs: true})
	}
	deleted := create(t, commands(ns, "deleted", 1), rig.Behaviour{Runs: true})
	for _, key := range keys {
		awaitReason(t, key, v1alpha1.ReasonRunning)
	}
	awaitReason(t, deleted, v1alpha1.ReasonRunning)
	start := crashOperator(t)
	for name, tc := range meanwhile {
		tc.do(t, keys[name])
	}
	// Nobody is needed for a deletion (invariant I14).
	if err := cluster.Client.Delete(t.Context(), &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: deleted.Name}}); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, deleted)
	late := create(t, commands(ns, "created", 1), rig.Behaviour{})
	start()
	awaitReason(t, late, v1alpha1.ReasonCompleted)
	for name, tc := range meanwhile {
		tg := awaitReason(t, keys[name], tc.want)
		if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, tc.says) {
			t.Errorf("%s: the message is %q, want %q", name, c.Message, tc.says)
		}
	}
}

func behave(t *testing.T, key client.ObjectKey, b rig.Behaviour) {
	t.Helper()
	if err := node.Behave(t.Context(), key, b); err != nil {
		t.Fatal(err)
	}
}

// awaitGone waits until a group, its Jobs and its pods are no more.
func awaitGone(t *testing.T, key client.ObjectKey) {
	t.Helper()
	err := rig.Await(t.Context(), key.Name+" to go", func(ctx context.Context) (bool, string, error) {
		var tg v1alpha1.TaskGroup
		if err := cluster.Client.Get(ctx, key, &tg); !apierrors.IsNotFound(err) {
			return false, "the group is there", err
		}
		var pods corev1.PodList
		err := cluster.Client.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.NameLabel: key.Name})
		left := len(jobsOf(t, key)) + len(pods.Items)
		return left == 0, fmt.Sprintf("%d Jobs and pods", left), err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBackoffOutlivesTheOperator: the time of the next attempt is in the status,
// so a restart neither forgets it nor begins it anew.
func TestBackoffOutlivesTheOperator(t *testing.T) {
	tg := commands(namespace(t), "g", 1)
	tg.Spec.Retries.Limit = 2
	key := create(t, tg, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(1)}})
	err := rig.Await(t.Context(), "the second attempt to fail", func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, key, tg)
		return len(tg.Status.Jobs) == 2 && tg.Status.Jobs[1].Reason != "", fmt.Sprintf("%+v", tg.Status.Jobs), err
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := tg.Status.Jobs[1].CompletionTime.Time
	crashOperator(t)()
	awaitReason(t, key, v1alpha1.ReasonTaskError)
	// The second retry waits for 2 to 4 seconds, and the API keeps whole seconds.
	waited := jobsOf(t, key)["3"].CreationTimestamp.Sub(failed)
	if waited < 2*time.Second || waited > 8*time.Second {
		t.Errorf("the third attempt began %s after the second's end", waited)
	}
}

// TestCancelledUnseen has a pod that goes, with its last words, while no operator runs:
// they are in the store, and the status says where (invariant I19).
func TestCancelledUnseen(t *testing.T) {
	key := create(t, commands(namespace(t), "g", 2), rig.Behaviour{Runs: true})
	awaitReason(t, key, v1alpha1.ReasonRunning)
	operator.Stop()
	start := operatorAgain(t)
	deleteJob(metav1.DeletePropagationForeground)(t, key)
	podGone(t, key)
	start()
	tg := awaitReason(t, key, v1alpha1.ReasonCancelled)
	if m := tg.Status.Manifest; m == nil || m.SHA256 != "" || !strings.HasSuffix(m.URI, "/a1/manifest.json") {
		t.Errorf("the manifest is %+v", m)
	}
}

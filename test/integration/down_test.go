// SPDX-License-Identifier: Apache-2.0

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

// crashOperator kills the suite's operator. The function it returns starts it again,
// which also happens at the end of the test.
func crashOperator(t *testing.T) (start func()) {
	t.Helper()
	operator.Kill()
	return operatorAgain(t)
}

// stopOperator stops the suite's operator until the end of the test.
func stopOperator(t *testing.T) {
	t.Helper()
	operator.Stop()
	operatorAgain(t)
}

// operatorBehindProxy replaces the suite's operator, until the end of the test, by one
// that works for a namespace of its own and reaches the API server through a proxy,
// which the options have configured.
func operatorBehindProxy(t *testing.T, options ...func(*rig.Proxy)) (proxy *rig.Proxy, ns string) {
	t.Helper()
	stopOperator(t)
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	for _, option := range options {
		option(proxy)
	}
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

// podGone deletes the pods of a group, as PodGC does, and waits until they are deleted.
// The garbage collector may be faster.
func podGone(t *testing.T, key client.ObjectKey) {
	t.Helper()
	pods := []client.ListOption{client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.NameLabel: key.Name}}
	err := rig.Await(t.Context(), "the pods to be deleted", func(ctx context.Context) (bool, string, error) {
		var list corev1.PodList
		if err := cluster.Client.List(ctx, &list, pods...); err != nil {
			return false, "", err
		}
		for i := range list.Items {
			if err := cluster.Client.Delete(ctx, &list.Items[i]); client.IgnoreNotFound(err) != nil {
				return false, "", err
			}
		}
		return len(list.Items) == 0, fmt.Sprintf("%d pods", len(list.Items)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// downCase is something that happens to a group while no operator runs.
type downCase struct {
	name string
	do   func(*testing.T, client.ObjectKey)
	// want is the reason that the next operator reports, and message a part of its message.
	want    v1alpha1.Reason
	message string
}

func downCases() []downCase {
	return []downCase{
		{"ended", func(t *testing.T, key client.ObjectKey) { behave(t, key, rig.Behaviour{}) }, v1alpha1.ReasonCompleted, "The task completed"},
		{"ended-and-collected", func(t *testing.T, key client.ObjectKey) {
			behave(t, key, rig.Behaviour{})
			jobEnded(t, key)
			podGone(t, key)
		}, v1alpha1.ReasonCompleted, "the pod was deleted before its termination message was read"},
		{"failed-and-collected", func(t *testing.T, key client.ObjectKey) {
			behave(t, key, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}})
			jobEnded(t, key)
			podGone(t, key)
		}, v1alpha1.ReasonUnknown, "was deleted before its result was read"},
		{"cancelled", cancel, v1alpha1.ReasonCancelled, "Cancelled through spec.cancel"},
		{"job-deleted", deleteJob(metav1.DeletePropagationBackground), v1alpha1.ReasonCancelled, "Cancelled by deleting its Job"},
		{"suspended", func(t *testing.T, key client.ObjectKey) { patchSpec(t, key, `{"suspend":true}`) }, v1alpha1.ReasonSuspended, ""},
	}
}

// TestOperatorDownMeanwhile: the next operator finds and reports everything that
// happened while none was running.
func TestOperatorDownMeanwhile(t *testing.T) {
	ns := namespace(t)
	type group struct {
		downCase
		key client.ObjectKey
	}
	var groups []group
	var deleted []client.ObjectKey
	for _, k := range kinds {
		for _, tc := range downCases() {
			groups = append(groups, group{tc, create(t, k.commands(ns, k.name(tc.name), 1), rig.Behaviour{Runs: true})})
		}
		deleted = append(deleted, create(t, k.commands(ns, k.name("deleted"), 1), rig.Behaviour{Runs: true}))
	}
	for _, g := range groups {
		awaitReason(t, g.key, v1alpha1.ReasonRunning)
	}
	for _, key := range deleted {
		awaitReason(t, key, v1alpha1.ReasonRunning)
	}
	start := crashOperator(t)
	for _, g := range groups {
		g.do(t, g.key)
	}
	// A deletion needs no operator (invariant I14).
	for _, key := range deleted {
		if err := cluster.Client.Delete(t.Context(), &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: key.Name}}); err != nil {
			t.Fatal(err)
		}
		awaitGone(t, key)
	}
	var created []client.ObjectKey
	for _, k := range kinds {
		created = append(created, create(t, k.commands(ns, k.name("created"), 1), rig.Behaviour{}))
	}
	start()
	for _, key := range created {
		awaitReason(t, key, v1alpha1.ReasonCompleted)
	}
	for _, g := range groups {
		tg := awaitReason(t, g.key, g.want)
		if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, g.message) {
			t.Errorf("%s: the message is %q, want %q", g.key.Name, c.Message, g.message)
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

// TestBackoffOutlivesTheOperator: the time of the next attempt is in the status, so a
// restart of the operator neither forgets nor restarts the backoff.
func TestBackoffOutlivesTheOperator(t *testing.T) {
	ns := namespace(t)
	var keys []client.ObjectKey
	for _, k := range kinds {
		tg := k.commands(ns, k.name("g"), 1)
		tg.Spec.Retries.Limit = 2
		keys = append(keys, create(t, tg, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(1)}}))
	}
	failed := make([]time.Time, len(keys))
	for i, key := range keys {
		var tg v1alpha1.TaskGroup
		err := rig.Await(t.Context(), "the second attempt to fail", func(ctx context.Context) (bool, string, error) {
			err := cluster.Client.Get(ctx, key, &tg)
			return len(tg.Status.Jobs) == 2 && tg.Status.Jobs[1].Reason != "", fmt.Sprintf("%+v", tg.Status.Jobs), err
		})
		if err != nil {
			t.Fatal(err)
		}
		failed[i] = tg.Status.Jobs[1].CompletionTime.Time
	}
	crashOperator(t)()
	for i, key := range keys {
		awaitReason(t, key, v1alpha1.ReasonTaskError)
		// The second retry waits for 2 to 4 seconds, and the API keeps whole seconds.
		waited := jobsOf(t, key)["3"].CreationTimestamp.Sub(failed[i])
		if waited < 2*time.Second || waited > 8*time.Second {
			t.Errorf("the third attempt of %s began %s after the end of the second", key.Name, waited)
		}
	}
}

// TestCancelledUnseen: a pod and its termination message are deleted while no operator
// runs. The results are in the store, and the status has their location (invariant I19).
func TestCancelledUnseen(t *testing.T) {
	ns := namespace(t)
	var keys []client.ObjectKey
	for _, k := range kinds {
		keys = append(keys, create(t, k.commands(ns, k.name("g"), k.records(2)), rig.Behaviour{Runs: true}))
	}
	for _, key := range keys {
		awaitReason(t, key, v1alpha1.ReasonRunning)
	}
	operator.Stop()
	start := operatorAgain(t)
	for _, key := range keys {
		deleteJob(metav1.DeletePropagationForeground)(t, key)
		podGone(t, key)
	}
	start()
	sequential := awaitReason(t, keys[0], v1alpha1.ReasonCancelled)
	if m := sequential.Status.Manifest; m == nil || m.SHA256 != "" || !strings.HasSuffix(m.URI, "/a1/manifest.json") {
		t.Errorf("the manifest is %+v", m)
	}
	parallel := awaitReason(t, keys[1], v1alpha1.ReasonCancelled)
	if task := parallel.Status.Tasks[0]; task.State != v1alpha1.TaskCancelled || task.Digest != "" {
		t.Errorf("the task of the Parallel group is %+v", task)
	}
}

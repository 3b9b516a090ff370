// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestDescribe(t *testing.T) {
	event := &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: testkit.Namespace, Name: "e"},
		InvolvedObject:      corev1.ObjectReference{UID: "uid-of-too-much-memory"},
		Type:                "Warning",
		Reason:              "OOMKilled",
		Message:             "Task 1: killed",
		ReportingController: "taskgroup-operator",
		EventTime:           metav1.MicroTime{Time: testkit.After(20_000_000_000).Time},
	}
	for _, name := range []string{"too-much-memory", "commands", "demo-run", "needs-ssd", "new", "cancelled"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, append(samples(), event)...)
			b.want(exitDone, "describe", name)
			golden(t, "describe-"+name+".txt", b.out.String())
		})
	}
}

// TestDescribeNamesTheQueue of a group that Kueue queues, with its priority class.
func TestDescribeNamesTheQueue(t *testing.T) {
	tg := testkit.QueuedSample("held")
	for want, labels := range map[string]map[string]string{
		"Queue:         team-a (kueue.x-k8s.io)\n": {v1alpha1.QueueLabel: "team-a"},
		"Queue:         team-a (kueue.x-k8s.io), priority class high\n": {
			v1alpha1.QueueLabel: "team-a", v1alpha1.QueuePriorityLabel: "high"},
	} {
		tg.Labels = labels
		b := newBench(t, tg.DeepCopy())
		b.want(exitDone, "describe", "held")
		if !strings.Contains(b.out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &b.out)
		}
		b.want(exitDone, "list", "-o", "wide")
		if !strings.Contains(b.out.String(), "   team-a   ") {
			t.Errorf("the wide list does not show the queue:\n%s", &b.out)
		}
	}
}

// TestDescribeOfPartialStatuses shows whatever exists.
func TestDescribeOfPartialStatuses(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.TaskGroup){
		"no status":       func(tg *v1alpha1.TaskGroup) { tg.Status = v1alpha1.TaskGroupStatus{} },
		"no tasks":        func(tg *v1alpha1.TaskGroup) { tg.Status.Tasks = nil },
		"too many tasks":  func(tg *v1alpha1.TaskGroup) { tg.Spec.Tasks = tg.Spec.Tasks[:1] },
		"no jobs":         func(tg *v1alpha1.TaskGroup) { tg.Status.Jobs = nil },
		"no times":        func(tg *v1alpha1.TaskGroup) { tg.Status.StartTime, tg.Status.CompletionTime = nil, nil },
		"no pod":          func(tg *v1alpha1.TaskGroup) { tg.Spec.Pod = nil },
		"nothing created": func(tg *v1alpha1.TaskGroup) { tg.CreationTimestamp = metav1.Time{} },
		"a memory factor of nonsense": func(tg *v1alpha1.TaskGroup) {
			tg.Spec.Retries.OOMMemoryFactor = "x"
		},
	} {
		t.Run(name, func(t *testing.T) {
			tg := testkit.OOMKilledSample("g")
			change(tg)
			b := newBench(t, tg)
			for _, command := range []string{"describe", "timeline", "results"} {
				b.run(command, "g")
				if b.out.Len()+b.err.Len() == 0 {
					t.Errorf("%s says nothing", command)
				}
			}
			b.want(exitDone, "list", "-o", "wide")
		})
	}
}

// TestDescribeWithoutPods is what a user sees who may read groups alone.
func TestDescribeWithoutPods(t *testing.T) {
	b := newBenchWith(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, ok := list.(*corev1.PodList); ok {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
		}
		return c.List(ctx, list, opts...)
	}}, samples()...)
	b.want(exitDone, "describe", "commands")
	for _, want := range []string{"Completed, 2 of 2", "Note: pods is forbidden", "ClusterRole view"} {
		if !strings.Contains(b.out.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.out.String())
		}
	}
}

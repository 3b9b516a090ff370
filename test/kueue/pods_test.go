// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package kueue

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// podWatch observes every state of the pods of all groups.
type podWatch struct {
	events watch.Interface
	done   chan struct{}

	mu sync.Mutex
	// pods are the last states, by UID.
	pods map[types.UID]*corev1.Pod
	// groups are the UIDs of the groups that have had a pod.
	groups map[string]bool
	// peaks are the greatest sums of requested CPU, in milli, that were observed.
	// Kueue releases the quota of a pod that is being deleted, so that pod counts no more.
	peaks map[string]int64
}

// quotas are the namespaces whose pods share a quota.
var quotas = map[string][]string{"teams": {"team-a", "team-b"}, "scarce": {"scarce"}}

func watchPods(ctx context.Context) (*podWatch, error) {
	events, err := cluster.Client.Watch(ctx, &corev1.PodList{}, client.HasLabels{v1alpha1.UIDLabel})
	if err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	w := &podWatch{events: events, done: make(chan struct{}),
		pods: map[types.UID]*corev1.Pod{}, groups: map[string]bool{}, peaks: map[string]int64{}}
	go func() {
		defer close(w.done)
		for event := range events.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				w.observe(event.Type, pod)
			}
		}
	}()
	return w, nil
}

func (w *podWatch) stop() {
	if w != nil {
		w.events.Stop()
		<-w.done
	}
}

func (w *podWatch) observe(event watch.EventType, pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups[pod.Labels[v1alpha1.UIDLabel]] = true
	if w.pods[pod.UID] = pod; event == watch.Deleted {
		delete(w.pods, pod.UID)
	}
	for quota, members := range quotas {
		var sum int64
		for _, pod := range w.pods {
			live := pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil
			if live && slices.Contains(members, pod.Namespace) {
				sum += pod.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
			}
		}
		w.peaks[quota] = max(w.peaks[quota], sum)
	}
}

// peak is the greatest sum of requested CPU of a quota's pods, in milli.
func (w *podWatch) peak(quota string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peaks[quota]
}

// had reports whether a group has ever had a pod.
func (w *podWatch) had(group types.UID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.groups[string(group)]
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// tryBare runs groups with no operator: this program makes the fewest requests that
// a group's life can have, and follows the pods for the one moment that it must
// know. It keeps nothing and checks nothing. What it costs over raw Jobs is the least that any operator can cost.
func (a *arena) tryBare(ctx context.Context, l load) (*trial, error) {
	a.operator.Stop()
	a.operator = nil
	delete(a.processes, operatorName)
	t, err := a.try(ctx, bare, l)
	if err != nil {
		return nil, err
	}
	if err := a.startOperator(ctx); err != nil {
		return nil, err
	}
	_, err = a.try(ctx, groups, warmUpLoad)
	return t, err
}

// minder writes what the operator would of the groups of one trial.
type minder struct {
	*arena
	trial *trial

	mu     sync.Mutex
	groups map[string]*v1alpha1.TaskGroup // by the name of the Job
}

// liveMinded sends the groups of a trial and minds them until all have finished.
func (a *arena) liveMinded(ctx context.Context, t *trial) error {
	// Groups that could not be sent never end.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &minder{arena: a, trial: t, groups: map[string]*v1alpha1.TaskGroup{}}
	minded := make(chan error, 1)
	go func() { minded <- m.mind(ctx) }()
	sending := a.send(t, func(i int) error {
		tg := group(t.load.tasks)
		tg.Namespace, tg.Name = t.namespace, unitName(i)
		if err := a.Client.Create(ctx, tg); err != nil {
			return err
		}
		return m.sendJob(ctx, tg)
	})
	if sending != nil {
		cancel()
	}
	return errors.Join(sending, <-minded)
}

// sendJob creates the Job of a group that was just created.
func (m *minder) sendJob(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	job, err := jobspec.Job(tg, jobspec.Attempt{Number: 1}, rig.Jobs)
	if err != nil {
		return err
	}
	// Before the create: the pod's end may be seen before the answer.
	m.mu.Lock()
	m.groups[job.Name] = tg
	m.mu.Unlock()
	return m.Client.Create(ctx, job)
}

// mind writes the end of each group when its pod has terminated, until all have.
func (m *minder) mind(ctx context.Context) error {
	var (
		mu      sync.Mutex
		errs    []error
		running sync.WaitGroup
	)
	slots := make(chan struct{}, senders)
	seen := map[string]bool{}
	for ctx.Err() == nil && len(seen) < m.trial.load.units {
		err := m.followPods(ctx, seen, func(pod *corev1.Pod) {
			running.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := m.writeEnd(ctx, pod); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		})
		if err != nil {
			return err
		}
	}
	running.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// followPods hands over each pod that has finished once, until all have or the watch ends.
func (m *minder) followPods(ctx context.Context, seen map[string]bool, ended func(*corev1.Pod)) error {
	w, err := m.Client.Watch(ctx, &corev1.PodList{}, client.InNamespace(m.trial.namespace))
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if isBusy(event) {
			return nil
		}
		pod, ok := event.Object.(*corev1.Pod)
		if !ok || event.Type == watch.Error {
			return fmt.Errorf("watching pods: %v", event.Object)
		}
		if pod.Status.Phase == corev1.PodSucceeded && !seen[pod.Name] {
			seen[pod.Name] = true
			ended(pod)
		}
		if len(seen) == m.trial.load.units {
			return nil
		}
	}
	return nil
}

// writeEnd writes a group's status and its event.
func (m *minder) writeEnd(ctx context.Context, pod *corev1.Pod) error {
	job := &batchv1.Job{ObjectMeta: pod.ObjectMeta}
	job.Name, job.UID = pod.OwnerReferences[0].Name, pod.OwnerReferences[0].UID
	m.mu.Lock()
	tg := m.groups[job.Name]
	m.mu.Unlock()
	if tg == nil {
		return fmt.Errorf("pod %s is of no group", pod.Name)
	}
	if err := m.writeStatus(ctx, tg, job, pod); err != nil {
		return err
	}
	return m.writeEvent(ctx, tg)
}

// writeEvent reports that a group has finished.
func (a *arena) writeEvent(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: tg.Namespace, Name: tg.Name + ".1"},
		EventTime:           metav1.NowMicro(),
		ReportingController: "bench", ReportingInstance: "bench",
		Action: "Finish", Reason: "Completed", Note: "1 task completed", Type: corev1.EventTypeNormal,
		Regarding: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup", Namespace: tg.Namespace, Name: tg.Name, UID: tg.UID},
	}
	if err := a.Client.Create(ctx, event); err != nil {
		return fmt.Errorf("creating an event: %w", err)
	}
	return nil
}

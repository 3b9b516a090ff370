// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// objects is how many groups of each size the scenario object writes, and
// objectTasks the sizes.
const objects = 100

var objectTasks = []int{1, 20, 256}

// measureObject writes groups as their users and the operator do, one after
// another, with no operator: what the object itself costs the API server.
func measureObject(ctx context.Context, b *bench) (err error) {
	cluster, err := rig.Start(ctx, "bench", "--control-plane-only", "--no-scheduler")
	if err != nil {
		return err
	}
	a := &arena{Cluster: cluster}
	defer func() { err = errors.Join(err, a.close()) }()
	if err := a.Install(ctx); err != nil {
		return err
	}
	if a.processes, err = a.Pids(ctx); err != nil {
		return err
	}
	if err := a.writeObjects(ctx, "warm-up", 20, 1, runs, completes(1)); err != nil {
		return err
	}
	for _, tasks := range objectTasks {
		b.say("object: %d groups of %d tasks", objects, tasks)
		used, err := a.using(ctx, func() error {
			return a.writeObjects(ctx, fmt.Sprintf("of-%d", tasks), objects, tasks, runs, completes(tasks))
		})
		if err != nil {
			return err
		}
		s := section{b.report, fmt.Sprintf("object of %d", tasks)}
		s.row("processor time of the API server, create and 2 statuses", "ms", noBudget, used.processor["kube-apiserver"].Seconds()*1000/objects)
		s.row("etcd: bytes put", "kB", noBudget, used.etcdBytes/1000/objects)
	}
	return nil
}

// using returns what a piece of work used of the control plane.
func (a *arena) using(ctx context.Context, work func() error) (usage, error) {
	before, err := a.usage(ctx)
	if err != nil {
		return usage{}, err
	}
	if err := work(); err != nil {
		return usage{}, err
	}
	after, err := a.usage(ctx)
	if err != nil {
		return usage{}, err
	}
	return after.since(before), nil
}

// writeObjects writes what the API server stores of n groups that complete: the
// group, and the status after each step of its pod.
func (a *arena) writeObjects(ctx context.Context, name string, n, tasks int, steps ...func(*corev1.Pod) error) error {
	for i := range n {
		tg := group(tasks)
		tg.Namespace, tg.Name = metav1.NamespaceDefault, fmt.Sprintf("%s-%05d", name, i)
		if err := a.Client.Create(ctx, tg); err != nil {
			return fmt.Errorf("creating a group: %w", err)
		}
		job, pod := attemptOf(tg)
		for _, step := range steps {
			if err := step(pod); err != nil {
				return err
			}
			if err := a.writeStatus(ctx, tg, job, pod); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeStatus writes what the operator would, seeing this pod of a first attempt.
func (a *arena) writeStatus(ctx context.Context, tg *v1alpha1.TaskGroup, job *batchv1.Job, pod *corev1.Pod) error {
	decided := plan.Decide(&plan.Observed{
		TaskGroup: tg, Attempt: 1, JobName: job.Name, Job: job, JobUID: job.UID, Pods: []*corev1.Pod{pod},
		ManifestURI: contract.ManifestURI(jobspec.AttemptURI(tg, 1)),
	}, time.Now())
	update := plan.StatusUpdate(tg, decided.Status)
	if err := a.Client.Status().Update(ctx, update); err != nil {
		return fmt.Errorf("writing a status: %w", err)
	}
	*tg = *update
	return nil
}

// attemptOf are a Job and a pod of a group, which the API server never sees.
func attemptOf(tg *v1alpha1.TaskGroup) (*batchv1.Job, *corev1.Pod) {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name: jobspec.JobName(tg.Name, tg.UID, 1), Namespace: tg.Namespace, UID: "job-of-" + tg.UID,
		CreationTimestamp: tg.CreationTimestamp,
		OwnerReferences:   []metav1.OwnerReference{*metav1.NewControllerRef(tg, v1alpha1.GroupVersion.WithKind("TaskGroup"))},
	}}
	return job, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: job.Name + "-abcde", Namespace: tg.Namespace, UID: "pod-of-" + tg.UID,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: corev1.PodSpec{NodeName: "node"},
	}
}

func runs(pod *corev1.Pod) error {
	pod.Status.Phase = corev1.PodRunning
	return nil
}

func completes(tasks int) func(*corev1.Pod) error {
	return func(pod *corev1.Pod) error {
		message := contract.TerminationMessage{ManifestSHA256: rig.AnyDigest}
		for range tasks {
			message.States = append(message.States, contract.TaskCompleted)
		}
		raw, err := contract.EncodeTerminationMessage(&message)
		pod.Status.Phase = corev1.PodSucceeded
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: jobspec.TaskContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(raw)}},
		}}
		return err
	}
}

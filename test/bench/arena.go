// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// rawLabel is on the pods of raw Jobs; the operator's cache does not select it.
const rawLabel = "bench.example.com/raw"

// nodeWorkers is how many pods each node takes a step at a time.
const nodeWorkers = 8

// warmUpLoad runs before the rounds and is not measured.
var warmUpLoad = load{units: 5, tasks: 1}

// arena is a cluster with the operator, and with kwok or two fake nodes: one for the
// pods of groups, and one for the pods of Jobs.
type arena struct {
	*rig.Cluster
	operator *rig.Operator
	kwok     *rig.Kwok
	nodes    []*rig.Node
	scraper  *scraper
	// processes are the control plane, kwok, the operator and this program, by name.
	processes map[string]int
	// managerArgs are further flags of the operator.
	managerArgs []string
	// template is the Job that the operator makes of a group of one task.
	template *batchv1.Job
}

// open starts an arena and warms it up.
func (b *bench) open(ctx context.Context, controllerManager arm, node nodeKind) (*arena, error) {
	flags := []string{"--control-plane-only", "--no-scheduler"}
	if node == kwok {
		flags = rig.KwokFlags
	}
	cluster, err := rig.Start(ctx, "bench", slices.Concat(flags, []string{"--audit"}, controllerManager.flags())...)
	if err != nil {
		return nil, err
	}
	cluster.Manager = b.Manager
	a := &arena{Cluster: cluster, managerArgs: b.ManagerArgs}
	if err := a.furnish(ctx, node); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *arena) furnish(ctx context.Context, node nodeKind) error {
	if err := a.Install(ctx); err != nil {
		return err
	}
	if err := a.startNodes(ctx, node); err != nil {
		return err
	}
	var err error
	if a.scraper, err = a.newScraper(ctx); err != nil {
		return err
	}
	if err := a.startOperator(ctx); err != nil {
		return err
	}
	return a.warmUp(ctx)
}

func (a *arena) startNodes(ctx context.Context, node nodeKind) (err error) {
	if node == kwok {
		a.kwok, err = a.StartKwok(ctx)
		return err
	}
	for name, label := range map[string]string{"groups": v1alpha1.UIDLabel, "jobs": rawLabel} {
		node, err := a.StartNodeWith(ctx, name, rig.NodeOptions{Label: label, Workers: nodeWorkers})
		if err != nil {
			return err
		}
		a.nodes = append(a.nodes, node)
	}
	return nil
}

func (a *arena) startOperator(ctx context.Context) error {
	var err error
	if a.processes, err = a.Pids(ctx); err != nil {
		return err
	}
	if a.operator, err = a.StartOperatorWith(ctx, rig.OperatorOptions{Flags: append(a.managerArgs, "--metrics-bind-address="+a.scraper.address)}); err != nil {
		return err
	}
	a.processes[operatorName] = a.operator.Pid()
	a.processes[clientName] = os.Getpid()
	if a.kwok != nil {
		a.processes["kwok"] = a.kwok.Pid()
	}
	return rig.Await(ctx, "the operator's metrics", func(ctx context.Context) (bool, string, error) {
		_, err := a.scraper.reconciles(ctx)
		return err == nil, fmt.Sprint(err), nil
	})
}

// warmUp runs a few of each, and takes the operator's Job as the template.
func (a *arena) warmUp(ctx context.Context) error {
	groups, err := a.try(ctx, groups, warmUpLoad)
	if err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	var jobs batchv1.JobList
	if err := a.Client.List(ctx, &jobs, client.InNamespace(groups.namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("listing Jobs: %w", err)
	}
	a.template = rawJob(&jobs.Items[0])
	for _, k := range []kind{rawJobs, plainJobs} {
		if _, err := a.try(ctx, k, warmUpLoad); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	return nil
}

// stopNodes lets pods stay where they are.
func (a *arena) stopNodes() error {
	var errs []error
	for _, node := range a.nodes {
		errs = append(errs, node.Stop())
	}
	a.nodes = nil
	return errors.Join(errs...)
}

func (a *arena) close() error {
	err := a.stopNodes()
	if a.operator != nil {
		a.operator.Stop()
	}
	if a.kwok != nil {
		a.kwok.Stop()
	}
	return errors.Join(err, a.Stop())
}

// rawJob is the Job without what makes it a group's: the same pod, but for the
// plan that the runner would read.
func rawJob(job *batchv1.Job) *batchv1.Job {
	raw := &batchv1.Job{Spec: *job.Spec.DeepCopy()}
	raw.Spec.Selector = nil
	template := &raw.Spec.Template
	template.ObjectMeta = metav1.ObjectMeta{Labels: map[string]string{rawLabel: "true"}}
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		var kept []corev1.EnvVar
		for _, env := range c.Env {
			if env.Name != contract.PlanEnv {
				kept = append(kept, env)
			}
		}
		c.Env = kept
	}
	return raw
}

// plainJob returns the Job that a user writes for the command of a group of one task.
func plainJob() *batchv1.Job {
	return &batchv1.Job{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{rawLabel: "true"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: rig.Jobs.DefaultImage, Command: []string{"true"}}},
		},
	}}}
}

// group returns a TaskGroup of n plain commands with a location for outputs.
func group(n int) *v1alpha1.TaskGroup {
	tg := testkit.New("", "").Commands(n).Outputs("file:///out").Obj()
	tg.Spec.Retries = nil
	return tg
}

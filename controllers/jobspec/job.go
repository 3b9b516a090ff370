// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// Delivery is how the runner is delivered to a pod.
type Delivery string

const (
	// ImageVolume mounts the runner's image as a read-only volume, without an init
	// container or a copy. Kubernetes has it since 1.36 (KEP-4639).
	ImageVolume Delivery = "ImageVolume"
	// InitContainer copies the runner from its image to an emptyDir.
	InitContainer Delivery = "InitContainer"
)

// Config is the operator's part of every Job.
type Config struct {
	// DefaultImage is the image of groups without spec.pod.image.
	DefaultImage string
	// DefaultResources are the resources of groups without spec.pod.resources.
	DefaultResources corev1.ResourceRequirements
	// RunnerImage is the image that contains the runner at /runner.
	RunnerImage string
	// Delivery is how the runner is delivered to the pod.
	Delivery Delivery
	// PodUser is the default user and group of pods; 0 is DefaultPodUser. With
	// NoPodUser, pods have no default, and the cluster assigns the IDs.
	PodUser int64
	// Runner are the settings of groups that have none in spec.runner.
	Runner contract.RunnerSettings
	// Gateway is how pods reach the asset gateway of the cluster; nil if there is none.
	Gateway *Gateway
}

// Attempt is what an attempt takes over from the previous ones.
type Attempt struct {
	// Number counts from 1.
	Number int32
	// Previous is the newest manifest that an earlier attempt committed; nil for none.
	Previous *contract.ManifestReference
	// Uncommitted are the attempts after Previous that committed no manifest, oldest
	// first. They may have left checkpoints.
	Uncommitted []int32
	// Done are the tasks of a Parallel group that the attempt does not run: they are
	// completed, or failed without budget.
	Done map[v1alpha1.NodeID]bool
	// OOMs is how many earlier attempts were OOM-killed.
	OOMs int32
	// MemoryLimit is the effective memory limit of the pod that was OOM-killed last,
	// including the default of a LimitRange; nil if it is unknown. It is the base of
	// the growth of a group that sets no memory limit.
	MemoryLimit *resource.Quantity
}

// Tasks returns the tasks that the attempt runs.
func (a *Attempt) Tasks(tg *v1alpha1.TaskGroup) []v1alpha1.TaskSpec {
	if len(a.Done) == 0 {
		return tg.Spec.Tasks
	}
	var tasks []v1alpha1.TaskSpec
	for i := range tg.Spec.Tasks {
		if !a.Done[tg.Spec.Tasks[i].NodeID] {
			tasks = append(tasks, tg.Spec.Tasks[i])
		}
	}
	return tasks
}

// nodes is the value of the annotation NodesAnnotation; empty for all tasks.
func (a *Attempt) nodes(tg *v1alpha1.TaskGroup) string {
	if len(a.Done) == 0 {
		return ""
	}
	var ids []string
	for _, task := range a.Tasks(tg) {
		ids = append(ids, task.NodeID.String())
	}
	return strings.Join(ids, ",")
}

// ErrNoImage is returned if neither the group nor the operator sets an image.
var ErrNoImage = errors.New("spec.pod.image is missing and the operator has no default image: set it, or start the operator with --default-image")

// TaskContainer is the name of the container that runs the tasks.
const TaskContainer = "tasks"

// Job renders the Job of one attempt. It returns contract.ErrPlanTooLarge if the tasks
// do not fit in a pod, ErrNoImage and ErrNoGateway.
//
// The Job has no retries of its own (an attempt is a Job, so that attempts can
// differ and never overlap) and no TTL (the group's owner reference cleans up).
func Job(tg *v1alpha1.TaskGroup, attempt Attempt, cfg Config) (*batchv1.Job, error) {
	plan, err := contract.EncodePlan(runnerPlan(tg, attempt, cfg.Runner))
	if err != nil {
		return nil, fmt.Errorf("rendering the Job of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	if cfg.DefaultImage == "" && (tg.Spec.Pod == nil || tg.Spec.Pod.Image == "") {
		return nil, ErrNoImage
	}
	if UsesGateway(tg) && cfg.Gateway == nil {
		return nil, ErrNoGateway
	}
	labels := groupLabels(tg, attempt.Number)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:      JobName(tg.Name, tg.UID, attempt.Number),
			Namespace: tg.Namespace,
			Labels:    jobLabels(tg, labels),
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(tg, v1alpha1.GroupVersion.WithKind("TaskGroup")),
			},
		},
		Spec: jobSpec(tg, attempt, corev1.PodTemplateSpec{
			ObjectMeta: podMeta(tg, attempt, labels, cfg),
			Spec:       podSpec(tg, plan, attempt, cfg),
		}),
	}, nil
}

// jobSpec never lets the Job controller retry: what failed is run again by the next
// attempt.
func jobSpec(tg *v1alpha1.TaskGroup, attempt Attempt, template corev1.PodTemplateSpec) batchv1.JobSpec {
	spec := batchv1.JobSpec{
		Completions:          new(int32(1)),
		Parallelism:          new(int32(1)),
		PodReplacementPolicy: new(batchv1.Failed),
		Template:             template,
	}
	if tg.Spec.Execution != v1alpha1.Parallel {
		spec.BackoffLimit = new(int32(0))
		return spec
	}
	tasks := int32(len(attempt.Tasks(tg)))
	spec.CompletionMode = new(batchv1.IndexedCompletion)
	spec.Completions = &tasks
	spec.Parallelism = new(min(tasks, valueOr(tg.Spec.Parallelism, tasks)))
	spec.BackoffLimitPerIndex = new(int32(0))
	return spec
}

// groupLabels are on the Job and its pods.
func groupLabels(tg *v1alpha1.TaskGroup, attempt int32) map[string]string {
	labels := map[string]string{
		v1alpha1.UIDLabel:     string(tg.UID),
		v1alpha1.AttemptLabel: strconv.Itoa(int(attempt)),
	}
	labels[v1alpha1.NameLabel] = v1alpha1.LabelValue(tg.Name)
	if tg.Spec.DispatchID != "" {
		labels[v1alpha1.DispatchLabel] = v1alpha1.LabelValue(tg.Spec.DispatchID)
	}
	return labels
}

// jobLabels adds the labels of Kueue to the Job. The pods do not get them, because
// Kueue would queue an object twice that carries its queue on more than one level.
func jobLabels(tg *v1alpha1.TaskGroup, labels map[string]string) map[string]string {
	all := maps.Clone(labels)
	for _, key := range []string{v1alpha1.QueueLabel, v1alpha1.QueuePriorityLabel} {
		if value, ok := tg.Labels[key]; ok {
			all[key] = value
		}
	}
	return all
}

// podMeta lets the operator's labels and annotations win over the user's.
func podMeta(tg *v1alpha1.TaskGroup, attempt Attempt, labels map[string]string, cfg Config) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Labels:      map[string]string{},
		Annotations: map[string]string{},
	}
	if pod := tg.Spec.Pod; pod != nil {
		maps.Copy(meta.Labels, pod.Labels)
		maps.Copy(meta.Annotations, pod.Annotations)
	}
	maps.Copy(meta.Labels, labels)
	meta.Annotations[v1alpha1.NameAnnotation] = tg.Name
	meta.Annotations[v1alpha1.DeliveryAnnotation] = string(cfg.Delivery)
	if gateway := gatewayOf(tg, cfg); gateway != nil {
		meta.Annotations[v1alpha1.GatewayAuthoritiesAnnotation] = gateway.Authorities
	}
	if nodes := attempt.nodes(tg); nodes != "" {
		meta.Annotations[v1alpha1.NodesAnnotation] = nodes
	}
	meta.Annotations[v1alpha1.DefaultContainerAnnotation] = TaskContainer
	return meta
}

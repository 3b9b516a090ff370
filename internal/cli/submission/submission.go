// SPDX-License-Identifier: Apache-2.0

package submission

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// NoOutputs is the value of Request.Outputs of a group whose results are not kept.
const NoOutputs = "none"

// Request is what a user requests. Exactly one of Command, Lines and Python
// is set.
type Request struct {
	Namespace string
	// Name is the group's; where it is empty, the API server appends to a name
	// made of the command's.
	Name   string
	Labels map[string]string
	Queue  string

	// Command is one task.
	Command []string
	// Lines are tasks that a shell runs.
	Lines []string
	// Python is a function in a file, as file.py:function.
	Python string
	// Args and Kwargs are the function's, as JSON, or as text where they are none.
	Args   []string
	Kwargs map[string]string

	Image, ServiceAccount string
	Memory, CPU           string
	// GPU is a number of GPUResource.
	GPU          int64
	GPUResource  string
	NodeSelector map[string]string
	Env          map[string]string
	// Volumes are claim:path, or claim:path:ro.
	Volumes     []string
	Outputs     string
	Parallel    bool
	Parallelism int32
	Retries     int32
	TimeLimit   int64
	TTL         int32
	Suspend     bool
}

// TaskGroup makes the object.
func (r *Request) TaskGroup() (*v1alpha1.TaskGroup, error) {
	tasks, base, err := r.tasks()
	if err != nil {
		return nil, err
	}
	tg := &v1alpha1.TaskGroup{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup"},
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name, Labels: maps.Clone(r.Labels)},
		Spec:       v1alpha1.TaskGroupSpec{Tasks: tasks, Suspend: r.Suspend},
	}
	if r.Name == "" {
		tg.GenerateName = generatedName(base)
	}
	if r.Queue != "" {
		if tg.Labels == nil {
			tg.Labels = map[string]string{}
		}
		tg.Labels[v1alpha1.QueueLabel] = r.Queue
	}
	r.shape(&tg.Spec)
	pod, err := r.pod()
	if err != nil {
		return nil, err
	}
	tg.Spec.Pod = pod
	return tg, nil
}

// tasks are what to run, and what to call it.
func (r *Request) tasks() (tasks []v1alpha1.TaskSpec, base string, err error) {
	given := 0
	for _, is := range []bool{len(r.Command) > 0, len(r.Lines) > 0, r.Python != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, "", errors.New("say what to run in one way: a command after --, or --task for each of several, or --python file.py:function")
	case r.Python == "" && len(r.Args)+len(r.Kwargs) > 0:
		return nil, "", errors.New("--arg and --kwarg are for --python; a command's arguments follow --")
	case r.Python != "":
		command, function, err := r.pythonCommand()
		return []v1alpha1.TaskSpec{{Command: command}}, function, err
	case len(r.Lines) > 0:
		for i, line := range r.Lines {
			tasks = append(tasks, v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(i), Command: []string{"sh", "-c", line}})
		}
		return tasks, "tasks", nil
	}
	return []v1alpha1.TaskSpec{{Command: r.Command}}, filepath.Base(r.Command[0]), nil
}

// shape is how the group runs.
func (r *Request) shape(spec *v1alpha1.TaskGroupSpec) {
	if r.Parallel || r.Parallelism > 0 {
		spec.Execution = v1alpha1.Parallel
	}
	if r.Parallelism > 0 {
		spec.Parallelism = &r.Parallelism
	}
	if r.Retries > 0 {
		spec.Retries = &v1alpha1.Retries{Limit: r.Retries}
	}
	if r.TimeLimit > 0 {
		spec.Timeouts = &v1alpha1.Timeouts{RunningSeconds: &r.TimeLimit}
	}
	if r.TTL > 0 {
		spec.TTLSecondsAfterFinished = &r.TTL
	}
	if r.Outputs != "" && r.Outputs != NoOutputs {
		spec.Assets = &v1alpha1.Assets{Outputs: v1alpha1.AssetURI(r.Outputs)}
	}
}

// pod is nil where it is the operator's default.
func (r *Request) pod() (*v1alpha1.PodOptions, error) {
	pod := &v1alpha1.PodOptions{Image: r.Image, ServiceAccountName: r.ServiceAccount, NodeSelector: r.NodeSelector}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		pod.Env = append(pod.Env, corev1.EnvVar{Name: name, Value: r.Env[name]})
	}
	if r.Memory != "" || r.CPU != "" {
		pod.Resources = &v1alpha1.Resources{}
		if err := setResources(pod.Resources, r.Memory, r.CPU); err != nil {
			return nil, err
		}
	}
	if err := r.devices(pod); err != nil {
		return nil, err
	}
	for _, volume := range r.Volumes {
		if err := mount(pod, volume); err != nil {
			return nil, err
		}
	}
	if reflect.DeepEqual(pod, &v1alpha1.PodOptions{}) {
		return nil, nil
	}
	return pod, nil
}

// devices adds the GPUs. A device has a limit only: the API server sets the request to it.
func (r *Request) devices(pod *v1alpha1.PodOptions) error {
	if r.GPU < 0 {
		return fmt.Errorf("--gpu is 0 or more, not %d", r.GPU)
	}
	if r.GPU == 0 {
		return nil
	}
	if pod.Resources == nil {
		pod.Resources = &v1alpha1.Resources{}
	}
	if pod.Resources.Limits == nil {
		pod.Resources.Limits = v1alpha1.Amounts{}
	}
	pod.Resources.Limits[corev1.ResourceName(r.GPUResource)] = v1alpha1.AmountOf(*resource.NewQuantity(r.GPU, resource.DecimalSI))
	return nil
}

// mount adds a claim, as claim:path or claim:path:ro.
func mount(pod *v1alpha1.PodOptions, text string) error {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || !strings.HasPrefix(parts[1], "/") || (len(parts) == 3 && parts[2] != "ro") {
		return fmt.Errorf("--volume is CLAIM:/path or CLAIM:/path:ro, not %q", text)
	}
	readOnly := len(parts) == 3
	name := fmt.Sprintf("volume-%d", len(pod.Volumes))
	claim := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: parts[0], ReadOnly: readOnly}
	pod.Volumes = append(pod.Volumes, v1alpha1.Volume{Name: name, PersistentVolumeClaim: claim})
	pod.VolumeMounts = append(pod.VolumeMounts, v1alpha1.VolumeMount{Name: name, MountPath: parts[1], ReadOnly: readOnly})
	return nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// generatedName is a prefix for a name, made of what runs.
func generatedName(base string) string {
	base = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(base), "-"), "-")
	if len(base) > 40 {
		base = strings.TrimRight(base[:40], "-")
	}
	if len(validation.IsDNS1123Label(base)) > 0 {
		base = "group"
	}
	return base + "-"
}

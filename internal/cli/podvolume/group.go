// SPDX-License-Identifier: Apache-2.0

package podvolume

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/tempgroup"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
)

// namePrefix begins the names of the TaskGroups.
const namePrefix = "taskgroup-download-"

// runningSeconds bounds the life of a pod whose program was killed. A download that takes
// longer continues with another pod.
const runningSeconds = 3600

// mountOf returns the mount of the group's pods that contains a path: the longest one, as
// in the pod.
func mountOf(tg *v1alpha1.TaskGroup, file string) *v1alpha1.VolumeMount {
	var found *v1alpha1.VolumeMount
	if tg.Spec.Pod == nil {
		return nil
	}
	for i := range tg.Spec.Pod.VolumeMounts {
		mount := &tg.Spec.Pod.VolumeMounts[i]
		if _, ok := below(mount, file); ok && (found == nil || len(path.Clean(mount.MountPath)) > len(path.Clean(found.MountPath))) {
			found = mount
		}
	}
	return found
}

// below returns the path of a file below a mount.
func below(mount *v1alpha1.VolumeMount, file string) (string, bool) {
	return strings.CutPrefix(file, strings.TrimRight(path.Clean(mount.MountPath), "/")+"/")
}

// volumeOf returns the volume of a mount; an error for one that was deleted with its pod.
func volumeOf(tg *v1alpha1.TaskGroup, mount *v1alpha1.VolumeMount) (*v1alpha1.Volume, error) {
	for i := range tg.Spec.Pod.Volumes {
		volume := &tg.Spec.Pod.Volumes[i]
		if volume.Name != mount.Name {
			continue
		}
		if volume.PersistentVolumeClaim == nil && volume.CSI == nil {
			break
		}
		return volume, nil
	}
	return nil, &cluster.Problem{
		What: fmt.Sprintf("the volume at %s was deleted with its pod: only a persistentVolumeClaim or a CSI volume can be read afterwards", mount.MountPath),
		Next: "give groups a location that outlives their pods: submit --outputs URI",
	}
}

// groupFor returns a group whose pod mounts a volume of another group read-only, with the
// identity and the nodes of that group's pods: others may not be able to read the files.
// It has neither their environment, which may be secret, nor their resources.
func groupFor(tg *v1alpha1.TaskGroup, mount *v1alpha1.VolumeMount, volume *v1alpha1.Volume) *v1alpha1.TaskGroup {
	readOnly := *mount
	readOnly.ReadOnly = true
	from := tg.Spec.Pod.DeepCopy()
	labels := map[string]string{}
	for _, label := range []string{v1alpha1.QueueLabel, v1alpha1.QueuePriorityLabel} {
		if value, ok := tg.Labels[label]; ok {
			labels[label] = value
		}
	}
	return &v1alpha1.TaskGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: tg.Namespace, Name: namePrefix + rand.String(10), Labels: labels},
		Spec: v1alpha1.TaskGroupSpec{
			Tasks: []v1alpha1.TaskSpec{{Command: []string{contract.RunnerPath, contract.HoldCommand}}},
			Pod: &v1alpha1.PodOptions{
				Image: from.Image, ImagePullPolicy: from.ImagePullPolicy, ImagePullSecrets: from.ImagePullSecrets,
				NodeSelector: from.NodeSelector, Tolerations: from.Tolerations, Affinity: from.Affinity,
				PriorityClassName: from.PriorityClassName, PreemptionPolicy: from.PreemptionPolicy,
				RuntimeClassName: from.RuntimeClassName, SchedulerName: from.SchedulerName,
				ServiceAccountName: from.ServiceAccountName, SecurityContext: from.SecurityContext, HostUsers: from.HostUsers,
				Labels: from.Labels, Annotations: from.Annotations,
				Volumes: []v1alpha1.Volume{*volume}, VolumeMounts: []v1alpha1.VolumeMount{readOnly},
				Resources: &v1alpha1.Resources{
					Requests: v1alpha1.Amounts{corev1.ResourceCPU: {Text: "50m"}, corev1.ResourceMemory: {Text: "64Mi"}},
					Limits:   v1alpha1.Amounts{corev1.ResourceMemory: {Text: "256Mi"}},
				},
			},
			Retries: &v1alpha1.Retries{InfrastructureLimit: new(int32(0))},
			Timeouts: &v1alpha1.Timeouts{
				StartingSeconds: new(int64(startTimeout.Seconds())), RunningSeconds: new(int64(runningSeconds)),
			},
			TTLSecondsAfterFinished: new(int32(tempgroup.LeftoverTTL)),
		},
	}
}

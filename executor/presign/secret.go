// SPDX-License-Identifier: Apache-2.0

package presign

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// volumeName is the name of the volume of the Secret with the signed URLs.
const volumeName = "presigned-urls"

// Mount adds to a spec the Secret that will contain the signed URLs. The name of the
// Secret is random, so that it is never the name of the Secret of an earlier group with
// the same name.
func Mount(tg *v1alpha1.TaskGroup) error {
	pod := &v1alpha1.PodOptions{}
	if tg.Spec.Pod != nil {
		tg.Spec.Pod.DeepCopyInto(pod)
	}
	for i := range pod.Volumes {
		if pod.Volumes[i].Name == volumeName {
			return fmt.Errorf("pod.volumes: the name %s is that of presign: take another one", volumeName)
		}
	}
	for _, mount := range pod.VolumeMounts {
		if path := strings.TrimRight(mount.MountPath, "/"); path == contract.SignedURLsDir || strings.HasPrefix(path, contract.SignedURLsDir+"/") {
			return fmt.Errorf("pod.volumeMounts: %s is the place of presign: take another one", mount.MountPath)
		}
	}
	var random [5]byte
	_, _ = rand.Read(random[:]) // it never returns an error
	pod.Volumes = append(pod.Volumes, v1alpha1.Volume{Name: volumeName, Secret: &corev1.SecretVolumeSource{
		SecretName: tg.Name + "-urls-" + hex.EncodeToString(random[:]), DefaultMode: new(int32(0o440)),
	}})
	pod.VolumeMounts = append(pod.VolumeMounts, v1alpha1.VolumeMount{Name: volumeName, MountPath: contract.SignedURLsDir, ReadOnly: true})
	tg.Spec.Pod = pod
	return nil
}

// SecretSource returns the volume source of the Secret that a spec mounts for signed
// URLs, or nil.
func SecretSource(spec *v1alpha1.TaskGroupSpec) *corev1.SecretVolumeSource {
	if spec.Pod == nil {
		return nil
	}
	for i := range spec.Pod.Volumes {
		if v := &spec.Pod.Volumes[i]; v.Name == volumeName {
			return v.Secret
		}
	}
	return nil
}

// Secret returns the Secret with all signed URLs of a group that was created. Its error
// is contract.ErrSignedURLsTooLarge if they do not fit.
func Secret(tg *v1alpha1.TaskGroup, parts ...*URLs) (*corev1.Secret, error) {
	source := SecretSource(&tg.Spec)
	if source == nil {
		return nil, fmt.Errorf("TaskGroup %s has no Secret for its signed URLs", tg.Name)
	}
	packed, err := pack(tg, parts)
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: tg.Namespace, Name: source.SecretName, Labels: tg.Labels,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup", Name: tg.Name, UID: tg.UID,
			}},
		},
		Immutable: new(true),
		Data:      map[string][]byte{contract.SignedURLsKey: packed},
	}, nil
}

func pack(tg *v1alpha1.TaskGroup, parts []*URLs) ([]byte, error) {
	until := parts[0].until
	for _, part := range parts[1:] {
		if part.until.Before(until) {
			until = part.until
		}
	}
	all := contract.NewSignedURLs(string(tg.UID), contract.GroupURI(tg.Spec.OutputsURI(), string(tg.UID)), until)
	for _, part := range parts {
		for i, permission := range part.permissions {
			if err := all.Add(permission, part.urls[i]); err != nil {
				return nil, fmt.Errorf("packing the signed URLs: %w", err)
			}
		}
	}
	packed, err := all.Encode()
	if err != nil {
		return nil, fmt.Errorf("packing the signed URLs: %w", err)
	}
	return packed, nil
}

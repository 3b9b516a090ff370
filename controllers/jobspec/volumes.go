// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// mountsTmp reports whether the user mounts a volume at /tmp.
func mountsTmp(options *v1alpha1.PodOptions) bool {
	for _, mount := range options.VolumeMounts {
		if path.Clean(mount.MountPath) == "/tmp" {
			return true
		}
	}
	return false
}

func podVolumes(options *v1alpha1.PodOptions) []corev1.Volume {
	volumes := []corev1.Volume{emptyDir(workVolume)}
	if !mountsTmp(options) {
		volumes = append(volumes, emptyDir(tmpVolume))
	}
	for _, v := range options.Volumes {
		volumes = append(volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{
			EmptyDir:              v.EmptyDir,
			ConfigMap:             v.ConfigMap,
			Secret:                v.Secret,
			PersistentVolumeClaim: v.PersistentVolumeClaim,
			Ephemeral:             v.Ephemeral,
			CSI:                   v.CSI,
			Projected:             projected(v.Projected),
			DownwardAPI:           v.DownwardAPI,
		}})
	}
	return volumes
}

func projected(volume *v1alpha1.ProjectedVolume) *corev1.ProjectedVolumeSource {
	if volume == nil {
		return nil
	}
	source := &corev1.ProjectedVolumeSource{DefaultMode: volume.DefaultMode}
	for _, from := range volume.Sources {
		to := corev1.VolumeProjection{Secret: from.Secret, ConfigMap: from.ConfigMap, DownwardAPI: from.DownwardAPI}
		if token := from.ServiceAccountToken; token != nil {
			to.ServiceAccountToken = &corev1.ServiceAccountTokenProjection{
				Audience: token.Audience, ExpirationSeconds: token.ExpirationSeconds, Path: token.Path,
			}
		}
		source.Sources = append(source.Sources, to)
	}
	return source
}

// volumeMounts returns the mounts of the container of the tasks.
func volumeMounts(options *v1alpha1.PodOptions) []corev1.VolumeMount {
	mounts := []corev1.VolumeMount{
		{Name: runnerVolume, MountPath: RunnerDir, ReadOnly: true},
		{Name: workVolume, MountPath: workDir},
	}
	if !mountsTmp(options) {
		mounts = append(mounts, corev1.VolumeMount{Name: tmpVolume, MountPath: "/tmp"})
	}
	for _, mount := range options.VolumeMounts {
		mounts = append(mounts, corev1.VolumeMount{
			Name:        mount.Name,
			MountPath:   mount.MountPath,
			SubPath:     mount.SubPath,
			SubPathExpr: mount.SubPathExpr,
			ReadOnly:    mount.ReadOnly,
		})
	}
	return mounts
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

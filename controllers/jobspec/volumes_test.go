// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"path"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestOneVolumeAtTmp requires one mount at /tmp: the user's, if there is one.
func TestOneVolumeAtTmp(t *testing.T) {
	for mountPath, want := range map[string]string{"": tmpVolume, "/tmp": "scratch", "/tmp/": "scratch", "/tmp/cache": tmpVolume} {
		t.Run("mounted at "+mountPath, func(t *testing.T) {
			tg := readTaskGroup(t, "testdata/commands.input.yaml")
			if mountPath != "" {
				tg.Spec.Pod = &v1alpha1.PodOptions{
					Volumes:      []v1alpha1.Volume{{Name: "scratch", EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					VolumeMounts: []v1alpha1.VolumeMount{{Name: "scratch", MountPath: mountPath}},
				}
			}
			var at []string
			for _, mount := range renderedContainer(t, tg).VolumeMounts {
				if path.Clean(mount.MountPath) == "/tmp" {
					at = append(at, mount.Name)
				}
			}
			if len(at) != 1 || at[0] != want {
				t.Errorf("mounted at /tmp: %v, want %s", at, want)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// kueuePrefix begins the keys that Kueue reads from a TaskGroup.
const kueuePrefix = "kueue.x-k8s.io/"

// validateMetadata refuses the keys that the executor and the operator set.
func (o *Options) validateMetadata() error {
	for name, entries := range map[string]map[string]string{"labels": o.Labels, "annotations": o.Annotations} {
		for key := range entries {
			if strings.HasPrefix(key, v1alpha1.GroupName+"/") {
				return errorf(ErrInvalid, "%s has %q: keys of %s are reserved", name, key, v1alpha1.GroupName)
			}
		}
	}
	return nil
}

// addMetadata adds the labels and annotations to a new TaskGroup, whose own take
// precedence.
func (o *Options) addMetadata(meta *metav1.ObjectMeta) {
	meta.Labels = merged(o.Labels, meta.Labels)
	meta.Annotations = merged(o.Annotations, meta.Annotations)
	if o.Queue != "" {
		meta.Labels = merged(meta.Labels, map[string]string{v1alpha1.QueueLabel: o.Queue})
	}
}

// podMetadata returns the entries that pods may have.
func podMetadata(entries map[string]string) map[string]string {
	allowed := maps.Clone(entries)
	maps.DeleteFunc(allowed, func(key, _ string) bool { return strings.HasPrefix(key, kueuePrefix) })
	return allowed
}

// merged returns base with the entries of over, or nil if both are empty.
func merged(base, over map[string]string) map[string]string {
	if len(base)+len(over) == 0 {
		return nil
	}
	both := make(map[string]string, len(base)+len(over))
	maps.Copy(both, base)
	maps.Copy(both, over)
	return both
}

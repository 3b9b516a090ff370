// SPDX-License-Identifier: Apache-2.0

package submission

import (
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Decode returns the TaskGroup of a manifest in YAML or JSON. An unknown field is an
// error: the API server would drop it.
func Decode(raw []byte) (*v1alpha1.TaskGroup, error) {
	var tg v1alpha1.TaskGroup
	if err := yaml.UnmarshalStrict(raw, &tg); err != nil {
		return nil, fmt.Errorf("decoding the manifest: %w", err)
	}
	if tg.Kind != "TaskGroup" || tg.APIVersion != v1alpha1.GroupVersion.String() {
		return nil, fmt.Errorf("it is a %q of %q, not a TaskGroup of %s", tg.Kind, tg.APIVersion, v1alpha1.GroupVersion)
	}
	return &tg, nil
}

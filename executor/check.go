// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// CheckGroup returns a group with the labels, the annotations and the pod of the groups
// that are sent with these options, without tasks and objects: a check runs a pod as
// theirs.
func (o *Options) CheckGroup(info contract.VersionInfo) (*v1alpha1.TaskGroup, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	pod, err := o.podOptions(info)
	if err != nil {
		return nil, err
	}
	tg := &v1alpha1.TaskGroup{Spec: v1alpha1.TaskGroupSpec{Pod: pod, Runner: o.Runner}}
	o.addMetadata(&tg.ObjectMeta)
	return tg, nil
}

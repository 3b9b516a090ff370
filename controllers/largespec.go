// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// maxCachedSpec is the size in bytes of the commands and URIs of an unfinished group
// that the cache keeps. They are needed only to render a Job. A user who creates
// thousands of groups with padded commands would otherwise decide how much memory the
// operator needs (invariant I21).
const maxCachedSpec = 16 << 10

// strippedAnnotation marks cached groups without their commands and URIs. It exists in
// the cache only.
const strippedAnnotation = v1alpha1.GroupName + "/stripped"

// stripLargeSpec drops the commands, arguments and URIs of a group if they exceed
// maxCachedSpec. The tasks keep their IDs, and the assets the prefix of the outputs.
func stripLargeSpec(tg *v1alpha1.TaskGroup) {
	if specSize(&tg.Spec) <= maxCachedSpec {
		return
	}
	tasks := make([]v1alpha1.TaskSpec, len(tg.Spec.Tasks))
	for i := range tasks {
		tasks[i].NodeID = tg.Spec.Tasks[i].NodeID
	}
	tg.Spec.Tasks = tasks
	if tg.Spec.Assets != nil {
		tg.Spec.Assets = &v1alpha1.Assets{Outputs: tg.Spec.Assets.Outputs}
	}
	tg.Spec.Pod = nil
	tg.Annotations = map[string]string{strippedAnnotation: "true"}
}

// specSize is the size of what a user can make large in a spec.
func specSize(spec *v1alpha1.TaskGroupSpec) int {
	size := 0
	for i := range spec.Tasks {
		for _, word := range spec.Tasks[i].Command {
			size += len(word)
		}
		size += 8 * (len(spec.Tasks[i].Args) + len(spec.Tasks[i].Kwargs))
	}
	if a := spec.Assets; a != nil {
		for _, uris := range []map[string]v1alpha1.AssetURI{a.Functions, a.Inputs, a.Hooks} {
			for _, uri := range uris {
				size += len(uri)
			}
		}
	}
	if spec.Pod != nil {
		for i := range spec.Pod.Env {
			size += len(spec.Pod.Env[i].Name) + len(spec.Pod.Env[i].Value)
		}
		for key, value := range spec.Pod.Annotations {
			size += len(key) + len(value)
		}
	}
	return size
}

// complete returns the group with its whole spec, which is read from the API server
// if the cache has only a part of it. The spec is immutable.
func (r *TaskGroupReconciler) complete(ctx context.Context, tg *v1alpha1.TaskGroup) (*v1alpha1.TaskGroup, error) {
	if tg.Annotations[strippedAnnotation] == "" {
		return tg, nil
	}
	var live v1alpha1.TaskGroupList
	if err := r.APIReader.List(ctx, &live, client.InNamespace(tg.Namespace), client.MatchingFields{"metadata.name": tg.Name}); err != nil {
		return nil, fmt.Errorf("reading TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	if len(live.Items) != 1 || live.Items[0].UID != tg.UID {
		return nil, fmt.Errorf("reading TaskGroup %s/%s: it was deleted", tg.Namespace, tg.Name)
	}
	whole := &live.Items[0]
	whole.Status = tg.Status
	return whole, nil
}

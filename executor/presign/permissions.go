// SPDX-License-Identifier: Apache-2.0

package presign

import (
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// suspensions are attempts beyond those that the retries allow: a group that is
	// suspended while it runs begins another attempt, which uses no budget.
	suspensions = 2
	// defaultInfrastructureLimit is the API's.
	defaultInfrastructureLimit = 3
)

// inputPermissions returns the permissions for the objects in s3 that a spec names and
// pods read.
func inputPermissions(spec *v1alpha1.TaskGroupSpec) []contract.Permission {
	uris := map[string]bool{}
	for _, assets := range []v1alpha1.AssetURIs{spec.Assets.Functions, spec.Assets.Hooks, spec.Assets.Inputs} {
		for _, uri := range assets {
			if isS3(string(uri)) {
				uris[string(uri)] = true
			}
		}
	}
	if index := spec.Assets.Index; index != nil && isS3(string(index.URI)) {
		uris[string(index.URI)] = true
	}
	permissions := make([]contract.Permission, 0, len(uris))
	for uri := range uris {
		permissions = append(permissions, contract.Permission{Access: contract.AccessGet, URI: uri})
	}
	slices.SortFunc(permissions, func(a, b contract.Permission) int { return strings.Compare(a.URI, b.URI) })
	return permissions
}

// outputPermissions returns the permissions for everything that the runner writes below
// the group's location in every possible attempt, and reads again: the manifest, to
// distinguish its own commit from another one, and what earlier attempts completed. The
// number of segments of a stream is not bounded, so that they have no URLs: the streams
// of a pod with signed URLs are uploaded when a task has finished.
func outputPermissions(tg *v1alpha1.TaskGroup) []contract.Permission {
	var permissions []contract.Permission
	add := func(uri string, access ...contract.Access) {
		for _, a := range access {
			permissions = append(permissions, contract.Permission{Access: a, URI: uri})
		}
	}
	parallel := tg.Spec.Execution == v1alpha1.Parallel
	attempts := attemptsOf(&tg.Spec)
	for attempt := range attempts {
		at := contract.AttemptURI(tg.Spec.OutputsURI(), string(tg.UID), attempt+1)
		if !parallel {
			add(contract.ManifestURI(at), contract.AccessCreate, contract.AccessGet)
			add(contract.StartMarkerURI(at), contract.AccessCreate)
		}
		for i := range tg.Spec.Tasks {
			node := contract.NodeID(tg.Spec.Tasks[i].NodeID)
			for _, key := range []contract.AssetKey{contract.AssetOutput, contract.AssetStdout, contract.AssetStderr, contract.AssetError} {
				add(contract.AssetURI(at, node, key), contract.AccessPut)
			}
			if parallel {
				add(contract.TaskManifestURI(at, node), contract.AccessCreate, contract.AccessGet)
				add(contract.TaskStartMarkerURI(at, node), contract.AccessCreate)
			} else if attempt+1 < attempts {
				add(contract.AssetURI(at, node, contract.AssetOutput), contract.AccessGet)
				if i > 0 {
					// There are at most as many checkpoints as tasks before the last one.
					add(contract.CheckpointURI(at, i), contract.AccessCreate, contract.AccessGet)
				}
			}
		}
	}
	return permissions
}

// attemptsOf returns how many attempts of a group have URLs.
func attemptsOf(spec *v1alpha1.TaskGroupSpec) int32 {
	attempts := int32(1 + suspensions + defaultInfrastructureLimit)
	if r := spec.Retries; r != nil {
		attempts += r.Limit
		if r.InfrastructureLimit != nil {
			attempts += *r.InfrastructureLimit - defaultInfrastructureLimit
		}
	}
	return attempts
}

func isS3(uri string) bool { return strings.HasPrefix(uri, "s3://") }

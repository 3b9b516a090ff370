// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// nameDigits is how many hexadecimal digits of the hash a name has: 96 bits.
// With its prefix a name fits in what a Job's name takes over of it.
const nameDigits = 24

// Handle names the job of a group: Covalent's job handle. It is JSON, holds no
// credential, and can be made before there is a TaskGroup.
type Handle struct {
	// Context is the name of the context of the kubeconfig. It is empty for the current
	// one in handles of earlier releases, and in a pod without a kubeconfig.
	Context   string `json:"context,omitempty"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// UID is the UID of the TaskGroup, where it was created already. A TaskGroup of
	// the name with another UID is not the one that was sent.
	UID types.UID `json:"uid,omitempty"`
	// Server and CA identify the cluster; see Identity. They are empty in handles of
	// earlier releases.
	Server string `json:"server,omitempty"`
	CA     string `json:"ca,omitempty"`
}

// Name is the name of the TaskGroup of a group: "tg-" and the beginning of the
// SHA-256 of the dispatch ID, a NUL, and the group's ID in decimal. It depends on
// nothing else, so that a caller that sends the same group again finds it there.
func Name(dispatchID string, taskGroupID int64) string {
	return "tg-" + digest(dispatchID + "\x00" + strconv.FormatInt(taskGroupID, 10))[:nameDigits]
}

// Handle is the handle of a group, sent or not. A dispatcher records it before
// Send, so that no failure in between leaves a TaskGroup that cannot be cancelled.
func (e *Executor) Handle(group contract.TaskGroupMetadata) Handle {
	return Handle{
		Context: cmp.Or(e.cluster.context, e.options.Context), Namespace: e.cluster.Namespace, Name: Name(group.DispatchID, group.TaskGroupID),
		Server: e.cluster.identity.Server, CA: e.cluster.identity.CA,
	}
}

// SetJobHandle has the dispatcher keep the handle
// (covalent/executor/base.py, set_job_handle).
func (e *Executor) SetJobHandle(ctx context.Context, handle Handle) error {
	if e.dispatcher == nil {
		return nil
	}
	return e.dispatcher.Put(ctx, JobHandle, handle)
}

// DispatchLabel returns the value of the label kubernetes.covalent.xyz/dispatch: the
// dispatch ID, or its hash if the ID is not a valid value of a label.
func DispatchLabel(dispatchID string) string {
	return v1alpha1.LabelValue(dispatchID)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// UIDLabel is on every Job and pod of a group and holds the TaskGroup's UID.
	// It selects the objects of one group whatever its name is, also after another
	// group of that name was deleted. The operator caches nothing that lacks it.
	UIDLabel = GroupName + "/taskgroup-uid"
	// AttemptLabel is on every Job and pod of a group and counts from 1.
	AttemptLabel = GroupName + "/attempt"
	// NameLabel is on every Job and pod and holds LabelValue of the TaskGroup's name.
	NameLabel = GroupName + "/taskgroup"
	// DispatchLabel is on every Job and pod of a group with a dispatch ID, and on
	// every TaskGroup that the executor creates. It holds LabelValue of the ID.
	DispatchLabel = GroupName + "/dispatch"
	// DispatcherLabel is on every TaskGroup of an executor that has a name for its
	// dispatcher.
	DispatcherLabel = GroupName + "/dispatcher"

	// QueueLabel names Kueue's queue. It is copied from a TaskGroup to its Jobs.
	QueueLabel = "kueue.x-k8s.io/queue-name"
	// QueuePriorityLabel names Kueue's WorkloadPriorityClass. It is copied from a
	// TaskGroup to its Jobs.
	QueuePriorityLabel = "kueue.x-k8s.io/priority-class"

	// NameAnnotation is on every pod and holds the TaskGroup's full name, which
	// may be longer than a label's value.
	NameAnnotation = GroupName + "/taskgroup"
	// NodesAnnotation is on every pod of a Parallel group's later attempts: the
	// nodeIDs, separated by commas, that its completion indexes stand for. An
	// attempt without it runs all tasks, in their order.
	NodesAnnotation = GroupName + "/nodes"
	// DeliveryAnnotation is on every pod: how the runner is delivered to it.
	DeliveryAnnotation = GroupName + "/delivery"
	// DeliveredAnnotation is on a TaskGroup with spec.callback: the nodeIDs,
	// separated by commas, whose end the dispatcher has taken note of.
	DeliveredAnnotation = GroupName + "/delivered"
	// SentAnnotation is on a TaskGroup that an executor created: the SHA-256 of what
	// was sent. A repeated send finds its own TaskGroup by it, whatever admission
	// webhooks have changed in the spec.
	SentAnnotation = GroupName + "/sent"
	// GatewayAuthoritiesAnnotation has the certificates of the asset gateway's authorities,
	// as PEM, on the pods of groups that use the gateway.
	GatewayAuthoritiesAnnotation = GroupName + "/gateway-authorities"
	// TraceparentAnnotation is the W3C trace context of the dispatch. The spans of the group
	// become part of that trace.
	TraceparentAnnotation = GroupName + "/traceparent"
	// DefaultContainerAnnotation is kubectl's: which container `kubectl logs` shows.
	DefaultContainerAnnotation = "kubectl.kubernetes.io/default-container"
)

// hashDigits is the length of the hash of LabelValue: 96 bits.
const hashDigits = 24

// LabelValue returns the text if it is a valid value of a label, and otherwise the
// first 24 hexadecimal digits of its SHA-256.
func LabelValue(text string) string {
	if len(validation.IsValidLabelValue(text)) == 0 {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:hashDigits]
}

// SPDX-License-Identifier: Apache-2.0

package access

import (
	"net/http"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

// Request is what a caller requests.
type Request struct {
	// IsWrite is set for a PUT.
	IsWrite  bool
	Location objectpath.Location
}

// Caller is the kind of a caller.
type Caller string

// The kinds of callers.
const (
	// Pod is a caller whose token is in Authorization.
	Pod Caller = "Pod"
	// Dispatcher is a caller whose token is in contract.GatewayTokenHeader.
	Dispatcher Caller = "Dispatcher"
)

// Evidence is everything that a decision depends on.
type Evidence struct {
	Caller Caller
	// IsAuthenticated reports that the API server accepts the token for the audience
	// of the gateway.
	IsAuthenticated bool
	// Pod is the pod that a Pod's token is bound to.
	Pod PodEvidence
	// Group is the TaskGroup of the pod; nil if it was deleted.
	Group *GroupEvidence
	// MayCreate reports that a Dispatcher may create TaskGroups in the namespace of the
	// object.
	MayCreate bool
}

// PodEvidence describes a pod.
type PodEvidence struct {
	Namespace string
	// IsDeleted reports that the pod of the token does not exist any more.
	IsDeleted bool
	// UID and Attempt identify the attempt of the pod's TaskGroup; empty for other pods.
	UID     string
	Attempt int32
}

// GroupEvidence describes the TaskGroup of a pod.
type GroupEvidence struct {
	// IsFinished reports that the state of the group is terminal.
	IsFinished bool
	// NewestAttempt is the newest one that has a pod or is in the status.
	NewestAttempt int32
	// IsNamed reports that the spec names the object.
	IsNamed bool
}

// Verdict is the result of a decision. The zero value allows the request.
type Verdict struct {
	Code    int
	Reason  contract.GatewayReason
	Message string
}

// IsAllowed reports whether the request is allowed.
func (v Verdict) IsAllowed() bool { return v.Code == 0 }

var (
	unauthenticated = Verdict{http.StatusUnauthorized, contract.GatewayUnauthenticated, "the request has no valid token of the audience " + contract.GatewayAudience}
	notATaskPod     = Verdict{http.StatusForbidden, contract.GatewayNotATaskPod, "the token in Authorization is not that of a pod of a TaskGroup: a dispatcher sends its token in " + contract.GatewayTokenHeader}
	podDeleted      = Verdict{http.StatusForbidden, contract.GatewayPodDeleted, "the pod was deleted"}
	groupDeleted    = Verdict{http.StatusForbidden, contract.GatewayGroupDeleted, "the TaskGroup of the pod was deleted"}
	groupFinished   = Verdict{http.StatusForbidden, contract.GatewayGroupFinished, "the TaskGroup has finished: its results cannot be changed"}
	superseded      = Verdict{http.StatusForbidden, contract.GatewaySuperseded, "a later attempt of the TaskGroup has replaced the attempt of the pod"}
	// notPermitted is the same for objects that exist and that do not.
	notPermitted       = Verdict{http.StatusForbidden, contract.GatewayNotPermitted, "a pod may read what its TaskGroup names or has stored, and write below its own attempt"}
	notTheDispatcher   = Verdict{http.StatusForbidden, contract.GatewayNotPermitted, "the account may not create TaskGroups in the namespace"}
	resultsAreReadOnly = Verdict{http.StatusForbidden, contract.GatewayNotPermitted, "only pods write results"}
)

// Decide returns whether a request is allowed.
func Decide(request Request, evidence Evidence) Verdict {
	if !evidence.IsAuthenticated {
		return unauthenticated
	}
	if evidence.Caller == Dispatcher {
		return decideDispatcher(request, evidence)
	}
	return decidePod(request, evidence.Pod, evidence.Group)
}

func decideDispatcher(request Request, evidence Evidence) Verdict {
	switch {
	case !evidence.MayCreate:
		return notTheDispatcher
	case request.IsWrite && !request.Location.IsContent():
		return resultsAreReadOnly
	}
	return Verdict{}
}

// decidePod first refuses pods that may do nothing, since a stale pod must not even
// learn which objects it could have accessed.
func decidePod(request Request, pod PodEvidence, group *GroupEvidence) Verdict {
	switch {
	case pod.IsDeleted:
		return podDeleted
	case pod.UID == "" || pod.Attempt < 1:
		return notATaskPod
	case group == nil:
		return groupDeleted
	case pod.Attempt < group.NewestAttempt:
		return superseded
	case request.Location.Namespace != pod.Namespace:
		return notPermitted
	case request.IsWrite:
		return decidePodWrite(request.Location, pod, group)
	case !isOwn(request.Location, pod) && !group.IsNamed:
		return notPermitted
	}
	return Verdict{}
}

func decidePodWrite(l objectpath.Location, pod PodEvidence, group *GroupEvidence) Verdict {
	switch {
	case !isOwn(l, pod) || l.Attempt != pod.Attempt:
		return notPermitted
	case group.IsFinished:
		return groupFinished
	}
	return Verdict{}
}

// isOwn reports whether an object is a result of the pod's group.
func isOwn(l objectpath.Location, pod PodEvidence) bool { return !l.IsContent() && l.UID == pod.UID }

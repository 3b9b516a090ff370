// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/access"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

const (
	none         = contract.GatewayReason("")
	notPermitted = contract.GatewayNotPermitted
)

var (
	input  = objectpath.Location{Namespace: "a", Digest: strings.Repeat("0", 64)}
	result = objectpath.Location{Namespace: "a", UID: "own", Attempt: 2, Name: "7/output"}
)

// with changes a location.
func with(l objectpath.Location, change func(*objectpath.Location)) objectpath.Location {
	change(&l)
	return l
}

// TestMatrix has each kind of caller with each kind of object: the reasons of a read and
// of a write.
func TestMatrix(t *testing.T) {
	objects := map[string]objectpath.Location{
		"an input":           input,
		"input of another":   with(input, func(l *objectpath.Location) { l.Namespace = "b" }),
		"own attempt":        result,
		"earlier attempt":    with(result, func(l *objectpath.Location) { l.Attempt = 1 }),
		"later attempt":      with(result, func(l *objectpath.Location) { l.Attempt = 3 }),
		"another group":      with(result, func(l *objectpath.Location) { l.UID = "other" }),
		"own UID in another": with(result, func(l *objectpath.Location) { l.Namespace = "b" }),
		"group of another":   with(result, func(l *objectpath.Location) { l.Namespace, l.UID = "b", "other" }),
	}
	pod := access.PodEvidence{Namespace: "a", UID: "own", Attempt: 2}
	group := access.GroupEvidence{NewestAttempt: 2}
	named, finished, behind, ahead := group, group, group, group
	named.IsNamed, finished.IsFinished, ahead.NewestAttempt, behind.NewestAttempt = true, true, 3, 1
	deleted, stranger, zero := pod, pod, pod
	deleted.IsDeleted, stranger.UID, zero.Attempt = true, "", 0
	ofPod := func(pod access.PodEvidence, group *access.GroupEvidence) access.Evidence {
		return access.Evidence{Caller: access.Pod, IsAuthenticated: true, Pod: pod, Group: group}
	}
	type pair struct{ read, write contract.GatewayReason }
	own := map[string]pair{
		"own attempt": {none, none}, "earlier attempt": {none, notPermitted}, "later attempt": {none, notPermitted},
	}
	readable := map[string]pair{}
	for name := range objects {
		readable[name] = pair{none, notPermitted}
	}
	for _, name := range []string{"input of another", "own UID in another", "group of another"} {
		readable[name] = pair{notPermitted, notPermitted}
	}
	readable["own attempt"] = pair{none, none}
	dispatcher := map[string]pair{}
	for name := range objects {
		dispatcher[name] = pair{none, notPermitted}
	}
	dispatcher["an input"], dispatcher["input of another"] = pair{none, none}, pair{none, none}
	terminal := map[string]pair{
		"own attempt": {none, contract.GatewayGroupFinished}, "earlier attempt": {none, notPermitted}, "later attempt": {none, notPermitted},
	}
	cases := map[string]struct {
		evidence access.Evidence
		// want has the objects that differ from otherwise.
		want      map[string]pair
		otherwise contract.GatewayReason
	}{
		"a pod":                           {ofPod(pod, &group), own, notPermitted},
		"a pod whose group names all":     {ofPod(pod, &named), readable, notPermitted},
		"a pod before its status":         {ofPod(pod, &behind), own, notPermitted},
		"a pod of a finished group":       {ofPod(pod, &finished), terminal, notPermitted},
		"a superseded attempt":            {ofPod(pod, &ahead), nil, contract.GatewaySuperseded},
		"a deleted pod":                   {ofPod(deleted, &group), nil, contract.GatewayPodDeleted},
		"a pod of a deleted group":        {ofPod(pod, nil), nil, contract.GatewayGroupDeleted},
		"another pod":                     {ofPod(stranger, nil), nil, contract.GatewayNotATaskPod},
		"a pod without an attempt":        {ofPod(zero, &named), nil, contract.GatewayNotATaskPod},
		"no token":                        {access.Evidence{Caller: access.Pod}, nil, contract.GatewayUnauthenticated},
		"a refused token with evidence":   {access.Evidence{Caller: access.Pod, Pod: pod, Group: &named, MayCreate: true}, nil, contract.GatewayUnauthenticated},
		"a refused token of dispatchers":  {access.Evidence{Caller: access.Dispatcher, MayCreate: true}, nil, contract.GatewayUnauthenticated},
		"a dispatcher":                    {access.Evidence{Caller: access.Dispatcher, IsAuthenticated: true, MayCreate: true}, dispatcher, none},
		"an account without permission":   {access.Evidence{Caller: access.Dispatcher, IsAuthenticated: true}, nil, notPermitted},
		"its pod does not help it":        {access.Evidence{Caller: access.Dispatcher, IsAuthenticated: true, Pod: pod, Group: &named}, nil, notPermitted},
		"a permission does not help pods": {access.Evidence{Caller: access.Pod, IsAuthenticated: true, Pod: pod, Group: &group, MayCreate: true}, own, notPermitted},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for object, location := range objects {
				want, ok := tc.want[object]
				if !ok {
					want = pair{tc.otherwise, tc.otherwise}
				}
				for isWrite, reason := range map[bool]contract.GatewayReason{false: want.read, true: want.write} {
					got := access.Decide(access.Request{IsWrite: isWrite, Location: location}, tc.evidence)
					if got.Reason != reason || got.IsAllowed() != (reason == none) {
						t.Errorf("%s, write %t: %+v, want %q", object, isWrite, got, reason)
					}
					if wantCode := map[contract.GatewayReason]int{none: 0, contract.GatewayUnauthenticated: 401}[reason]; reason != none && wantCode == 0 && got.Code != 403 || wantCode == 401 && got.Code != 401 {
						t.Errorf("%s, write %t: code %d", object, isWrite, got.Code)
					}
				}
			}
		})
	}
}

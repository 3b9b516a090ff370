// SPDX-License-Identifier: Apache-2.0

// Package invariants checks, over a recorded history of a cluster, whether what
// must always hold of TaskGroups did hold.
//
// A Recorder follows TaskGroups, Jobs and pods from before the first of them is
// made and keeps every version that the API server ever had, in the order of
// their resource versions: etcd's revision is one order for all kinds. Check then
// checks each invariant on that history, whatever test made it:
//
//	watches --Recorder--> History --Check--> []Violation
//	audit log --audit.Read----^
//
// A checker looks at objects and requests alone. It shares no code with the
// operator's decisions, so that a mistake there is not repeated here.
package invariants

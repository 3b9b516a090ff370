// SPDX-License-Identifier: Apache-2.0

// Package collect deletes objects that are not needed any more.
//
// Results are deleted when their TaskGroup has not existed for a grace period. Inputs
// are deleted when no TaskGroup has named them, and no request has used them, for
// another one.
//
//	pass:  volume ──> candidates ──> minus what TaskGroups need ──> marks ──> deleted
//
// A mark is the time at which an object was first found unneeded, on a clock of the
// collector's own: it counts the time in which a collector was running, and is stored
// with the marks. A wrong clock of the node, or a gateway that was stopped for a week,
// deletes nothing early. A pass that was interrupted is repeated, and loses no mark.
//
// The volume is read before the TaskGroups. Thus the TaskGroup of every result that was
// found has been created before. A pass deletes nothing if it could not read all
// TaskGroups.
package collect

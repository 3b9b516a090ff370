// SPDX-License-Identifier: Apache-2.0

// Package group runs the tasks of a plan, in order, and leaves the record of
// the attempt.
//
//	read the manifest to resume -> stage inputs ─┐
//	                               start Python ─┴─> for every task: run -> keep its assets ─> commit the manifest
//
// A pod of a parallel group does so with one task and a manifest of its own.
//
// A task finishes in one of three states:
//
//	    ┌───────────────────> COMPLETED  an earlier attempt did it: its record is taken over
//	not begun ──> running ──> COMPLETED
//	    │            ├──────> FAILED     by itself or at a deadline; the first one stops the group
//	    │            └──────> CANCELLED  Terminated: the pod received SIGTERM
//	    └───────────────────> CANCELLED  NotStarted: one before it failed, or the pod received SIGTERM
//
// Nothing that a task does may keep the record from being written: a failure
// of the runner itself while a task runs is that task's failure.
package group

// Package group runs the tasks of a plan, in order, and leaves the record of
// the attempt.
//
//	stage inputs ─┐
//	start Python ─┴─> for every task: run -> keep its assets ─> commit the manifest
//
// A task ends in one of three states:
//
//	not begun ──> running ──> COMPLETED
//	    │            ├──────> FAILED     the first one stops the group
//	    │            └──────> CANCELLED  Terminated: the pod was told to end
//	    └───────────────────> CANCELLED  NotStarted: one before it failed, or the pod was told to end
//
// Nothing that a task does may keep the record from being written: a failure
// of the runner itself while a task runs is that task's failure.
package group

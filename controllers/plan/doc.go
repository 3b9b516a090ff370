// SPDX-License-Identifier: Apache-2.0

// Package plan decides what a TaskGroup needs next. It is pure: it takes no
// context, client, logger or clock. Its input is an Observed and the current time,
// its output a Plan.
//
//	           Job refused                pod not scheduled
//	Pending ------------------> Queued <------------------+
//	   | Job created              |                       |
//	   +--------------------------+--> Starting ----> Running
//	                                      |  pods terminated |
//	   +----------------------------------+------------------+
//	   | stopped before it terminated     | retryable        | result
//	   v                                  v                  v
//	Stopping, Suspending  ------->  Retrying, Suspended   Completed or a failure
//	   | no retry                         | next attempt: Pending
//	   v
//	Completed or a failure
//
//	any unfinished state -- spec.cancel, or its Job was deleted --> Cancelling --> Cancelled
//
// Completed, Cancelled and the failures are terminal: they are set after no pod of
// the group runs any more, and never change.
//
// Sequential and Parallel groups differ in how the result of an attempt is read from
// its pods. Everything that differs is behind the interface kind, with one
// implementation in sequential.go and one in parallel.go.
package plan

// SPDX-License-Identifier: Apache-2.0

// Package executor is Covalent's executor contract over TaskGroup objects: what
// covalent.executor.base.AsyncBaseExecutor owes a dispatcher, for any dispatcher.
//
//	Send     creates the TaskGroup of a group of tasks       one write
//	Poll     waits for its end                               no request: one watch for all groups
//	Receive  reports how each node finished, and its results  no request after Poll, else one read
//	Cancel   sets spec.cancel                                one write
//	Run      does all of it for one function in memory
//
// The name of a TaskGroup follows from the dispatch and the group alone (Name), so
// that sending twice is sending once, and the handle can be recorded before there
// is anything to lose.
//
// Every error matches one of the sentinels of errors.go, each of which has a code
// that another process can match. A dispatcher must distinguish two of them:
// ErrCancelled is Covalent's TaskCancelledError, everything else fails the nodes.
// A group that failed is no error of Poll: only Receive brings its results.
//
// The package imports the API types and Kubernetes' clients, never the
// controllers: it is the dispatcher's side, the controllers are the cluster's. Below it
// are executor/watch (the watch that all polls share), executor/results (reading what
// groups left), executor/presign (signed URLs for pods), executor/gateway (the connection to
// the asset gateway), executor/doctor (the checks before a dispatch), executor/tempgroup
// (groups that such a check creates and removes) and executor/apifault (the kinds of errors
// of the API server), which do not know it. Above it are executor/bridge (the executor for
// other languages) and executor/covalent (the part of the contract that needs no cluster).
package executor

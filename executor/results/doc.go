// SPDX-License-Identifier: Apache-2.0

// Package results reads the results of groups in their stores, and describes it as assets
// that a dispatcher can fetch: the committed records of their tasks, the streams of tasks
// that were killed, and files of this machine with the reason of a failure.
//
// Manifests are read by store/manifest, with the same checks as in a pod. An asset is
// passed on only if it is below the group's own location, since a task can forge its
// record.
package results

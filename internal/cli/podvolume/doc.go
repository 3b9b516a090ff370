// SPDX-License-Identifier: Apache-2.0

// Package podvolume reads files of a volume of a group's pods through a short-lived pod,
// which mounts the volume read-only. The pod is the pod of a TaskGroup, so that the operator
// delivers the runner to it and it complies with Pod Security "restricted"; the files are
// streams of exec requests to the runner.
package podvolume

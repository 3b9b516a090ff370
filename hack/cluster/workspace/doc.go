// SPDX-License-Identifier: Apache-2.0

// Package workspace finds the repository that a command runs for and names the
// places in it: the pinned modules, the caches and the state of the clusters.
package workspace

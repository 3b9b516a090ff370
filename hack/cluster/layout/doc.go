// SPDX-License-Identifier: Apache-2.0

// Package layout reports where everything of a cluster is: its folders, and the
// names of what it takes from the machine. All of it follows from the cluster's
// folder, so that a cluster can be removed even when its state was lost.
package layout

// SPDX-License-Identifier: Apache-2.0

// Package build makes the programs of a cluster from their Go modules.
//
// Each folder in hack/cluster/modules is a module of its own that pins one
// upstream project; its go.mod names, as tools, the programs to build. The
// versions are stated there and nowhere else.
package build

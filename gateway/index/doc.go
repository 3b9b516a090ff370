// SPDX-License-Identifier: Apache-2.0

// Package index reads the objects that a TaskGroup names in its index: the inputs of a
// group with too many arguments for its spec (contract.Index).
package index

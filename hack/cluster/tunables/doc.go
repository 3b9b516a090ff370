// SPDX-License-Identifier: Apache-2.0

// Package tunables puts back the kernel settings that a kubelet changes.
//
// A kubelet sets a handful of settings of the whole machine and has no option
// not to. The first cluster of a machine notes how they were, the last one that
// goes restores them.
package tunables

// SPDX-License-Identifier: Apache-2.0

// Package doctor checks what a dispatcher, or a user of the command line, needs before
// the first TaskGroup: the cluster, the CRD, the operator, permissions, the namespace, the
// stores from this machine and from a pod, and the image.
//
// The checks run in the order of Names. A check whose precondition failed is skipped, and
// its message names the precondition. Everything that a check creates is removed, also
// when the context is cancelled.
package doctor

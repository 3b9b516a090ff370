// SPDX-License-Identifier: Apache-2.0

// Package harness holds the Python that the runner starts in a task's pod, so
// that one static binary is all that a pod needs.
package harness

import "embed"

// Files are main.py, which the interpreter is given, and the package beside it.
//
//go:embed main.py taskgroup_harness/*.py
var Files embed.FS

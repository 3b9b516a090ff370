// SPDX-License-Identifier: Apache-2.0

// Package python runs Covalent functions in the Python of a task's image. It
// starts the harness (python/harness) once and has it fork for every task:
//
//	runner --request, stdout, stderr (SCM_RIGHTS)--> harness --fork--> task
//	runner <-------started (from the task), ended--- harness
//
// What the function itself reports lies in a file, since the task may close or
// lose any descriptor.
package python

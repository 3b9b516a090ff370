// SPDX-License-Identifier: Apache-2.0

// Package stage copies the objects that tasks read to this machine: each once, shortly
// before the first task that reads it, and until the last one has finished. An error is
// returned only to the tasks that need the object.
package stage

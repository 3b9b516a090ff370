// SPDX-License-Identifier: Apache-2.0

// Package process starts the runner's children and reaps every process that
// ends below it.
//
// The runner is PID 1 of its pod, so processes whose parents have gone become
// its own and stay zombies until it waits for them. A wait for any child would
// take the exit status away from a second waiter such as os/exec; therefore one
// Reaper does all the waiting, and all children are started through it.
package process

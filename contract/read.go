// SPDX-License-Identifier: Apache-2.0

package contract

// HoldCommand is the command of the runner that waits for SIGTERM, in a pod that mounts
// the volume of a group's results for their download.
const HoldCommand = "hold"

// ReadCommand is the command of the runner that writes a file to its standard output:
// ReadCommand, a directory, the path of a regular file below it, and optionally the offset
// in bytes at which it begins.
const ReadCommand = "read"

// ReadMissing is the exit code of ReadCommand for a file that does not exist.
const ReadMissing = 44

// SPDX-License-Identifier: Apache-2.0

// Package command is the command line: one file for each subcommand. Results go
// to standard output, progress and errors to standard error.
package command

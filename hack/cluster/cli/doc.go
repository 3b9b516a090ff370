// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of the cluster tool. Results go to standard
// output, progress and errors to standard error.
package cli

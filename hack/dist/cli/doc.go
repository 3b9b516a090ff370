// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of the tool for releases.
package cli

// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of the image tool.
package cli

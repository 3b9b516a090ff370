// SPDX-License-Identifier: Apache-2.0

// Package release builds all artifacts of a release into one folder. What it writes
// depends only on the sources, the version and the Go toolchain: no time of day, host,
// user or path of the build goes into it.
//
//	programs ──> SBOMs ──> images ──> chart, install.yaml
//	    └──────> archives ──> manifest of krew
//	wheels, JSON schema ──> provenance, checksums
package release

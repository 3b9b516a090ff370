// SPDX-License-Identifier: Apache-2.0

// Package attest describes what programs consist of (CycloneDX) and how they were built
// (SLSA provenance).
package attest

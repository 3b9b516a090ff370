// SPDX-License-Identifier: Apache-2.0

// Package pki makes the certificates and keys of a cluster: one authority that
// signs everything, and the key pair that signs service account tokens.
package pki

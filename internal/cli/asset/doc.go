// SPDX-License-Identifier: Apache-2.0

// Package asset reads the results of a group in its store: the manifests, which are
// checked against the digests in the status, and the objects that they record.
package asset

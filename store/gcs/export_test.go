// SPDX-License-Identifier: Apache-2.0

package gcs

// NewAt returns a Store with another endpoint and another metadata server than Google's.
func NewAt(endpoint, metadata string) *Store { return &Store{at: endpoint, metadataAt: metadata} }

// SPDX-License-Identifier: Apache-2.0

// Package archive writes tar and zip files that depend only on the names, modes and
// contents of their files: entries are sorted, belong to root and have one time.
package archive

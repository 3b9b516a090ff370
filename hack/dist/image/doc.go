// SPDX-License-Identifier: Apache-2.0

// Package image makes OCI layouts: images of several architectures, Helm charts and
// artifacts that refer to them.
package image

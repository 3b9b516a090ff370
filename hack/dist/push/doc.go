// SPDX-License-Identifier: Apache-2.0

// Package push copies the images and the chart of a release into a registry, with their
// signatures and referrers.
package push

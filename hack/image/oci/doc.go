// SPDX-License-Identifier: Apache-2.0

// Package oci makes container images and image archives without an engine or a
// registry. The same input gives the same image: no time of day goes into it.
package oci

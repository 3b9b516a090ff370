// SPDX-License-Identifier: Apache-2.0

// Package krew makes the manifest of kubectl's plugin for the index of krew:
// https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/
package krew

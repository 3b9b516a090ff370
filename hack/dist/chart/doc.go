// SPDX-License-Identifier: Apache-2.0

// Package chart packages the Helm chart of the project. Its tests require that the chart
// renders the same objects as the kustomizations in config.
package chart

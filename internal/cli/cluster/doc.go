// SPDX-License-Identifier: Apache-2.0

// Package cluster connects to the API server as kubectl does, follows groups,
// and adds to every error what to do next.
package cluster

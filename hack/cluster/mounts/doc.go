// SPDX-License-Identifier: Apache-2.0

// Package mounts makes and removes the mounts of a node.
package mounts

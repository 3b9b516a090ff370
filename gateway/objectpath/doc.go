// SPDX-License-Identifier: Apache-2.0

// Package objectpath parses the paths of the gateway's objects.
package objectpath

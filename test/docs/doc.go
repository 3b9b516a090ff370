// SPDX-License-Identifier: Apache-2.0

// Package docs tests the documentation: that the functions, flags, links and commands
// that it names exist. It has no other code.
package docs

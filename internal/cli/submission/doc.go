// SPDX-License-Identifier: Apache-2.0

// Package submission makes TaskGroups of what a user requests on a command
// line. It is pure but for reading the Python file that it is given.
package submission

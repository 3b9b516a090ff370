// SPDX-License-Identifier: Apache-2.0

// Package output prints TaskGroups for programs: JSON, YAML and names.
package output

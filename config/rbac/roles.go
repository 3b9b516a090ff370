// SPDX-License-Identifier: Apache-2.0

// Package rbac has the roles of this folder that programs compare permissions with.
package rbac

import _ "embed"

// ExecutorRole is the manifest of the ClusterRole that a dispatcher's user needs.
//
//go:embed executor_role.yaml
var ExecutorRole []byte

// ExecutorPresignRole is the manifest of the ClusterRole that a dispatcher's user needs
// besides ExecutorRole if executors have presign.
//
//go:embed executor_presign_role.yaml
var ExecutorPresignRole []byte

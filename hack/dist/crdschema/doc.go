// SPDX-License-Identifier: Apache-2.0

// Package crdschema makes a JSON schema for editors and kubeconform of a
// CustomResourceDefinition.
package crdschema

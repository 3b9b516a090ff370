// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of the TaskGroup operator: the TaskGroup object,
// its conditions and reasons, and the labels that its Jobs and pods carry. It
// holds no logic.
//
// +kubebuilder:object:generate=true
// +groupName=kubernetes.covalent.xyz
package v1alpha1

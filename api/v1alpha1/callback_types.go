// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Callback is a Covalent dispatcher that receives a PUT when a node finishes,
// which `taskgroup executor` sends: neither the operator nor a pod opens the URL.
type Callback struct {
	// url is the dispatcher's address, without a path. It is called only where the
	// administrator of `taskgroup executor` allows its host.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9._\[\]:-]+/?$`
	URL string `json:"url"`
}

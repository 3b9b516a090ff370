package v1alpha1

// Callback is a Covalent dispatcher that is told of each node's end by a PUT,
// which `taskgroup executor` sends: neither the operator nor a pod opens the URL.
type Callback struct {
	// url is the dispatcher's address, without a path. It is told only where the
	// administrator of `taskgroup executor` allows its host.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[A-Za-z0-9._\[\]:-]+/?$`
	URL string `json:"url"`
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Amount is a quantity such as "500m", "1Gi", 0.5 or 2. Like a Pod, the API accepts
// numbers too. Its notation is kept, because spec.pod is immutable: a client that reads
// a TaskGroup, changes another field and writes it back would otherwise turn "0.5" into
// "500m", and the API server would refuse that.
// ---
// hack/amounts.sed replaces the type, because no marker can express a number or a
// string. Decoding accepts any value: one object that cannot be decoded would keep the
// operator from listing all others.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$`
type Amount struct {
	// Text is the value without the quotes of a string.
	Text string `json:"-"`
	// IsNumber reports whether the value is a number and not a string.
	IsNumber bool `json:"-"`
}

// AmountOf returns the canonical form of a quantity.
func AmountOf(quantity resource.Quantity) Amount {
	return Amount{Text: quantity.String()}
}

// Quantity returns the quantity; zero if the value is none.
func (a Amount) Quantity() resource.Quantity {
	quantity, err := resource.ParseQuantity(a.Text)
	if err != nil {
		return resource.Quantity{}
	}
	return quantity
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.IsNumber {
		return []byte(a.Text), nil
	}
	raw, err := json.Marshal(a.Text)
	if err != nil {
		return nil, fmt.Errorf("encoding an amount: %w", err)
	}
	return raw, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Amount) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '"' {
		*a = Amount{Text: string(raw), IsNumber: true}
		return nil
	}
	*a = Amount{}
	if err := json.Unmarshal(raw, &a.Text); err != nil {
		return fmt.Errorf("decoding an amount: %w", err)
	}
	return nil
}

// Amounts are amounts of resources by name, such as cpu, memory or nvidia.com/gpu.
type Amounts map[corev1.ResourceName]Amount

// AmountsOf returns the canonical form of a list of resources; nil for an empty one.
func AmountsOf(list corev1.ResourceList) Amounts {
	if len(list) == 0 {
		return nil
	}
	amounts := Amounts{}
	for name, quantity := range list {
		amounts[name] = AmountOf(quantity)
	}
	return amounts
}

// ResourceList returns the amounts as a list of resources; nil for none.
func (a Amounts) ResourceList() corev1.ResourceList {
	if len(a) == 0 {
		return nil
	}
	list := corev1.ResourceList{}
	for name, amount := range a {
		list[name] = amount.Quantity()
	}
	return list
}

// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// TestFieldsExist decodes all objects of Kubernetes strictly: the API server would drop a
// misspelled field of an option.
func TestFieldsExist(t *testing.T) {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, text := range []string{everything, "gateway: {bucket: {existingSecret: bucket}}"} {
		all, _ := render(t, "other", text)
		for name, o := range all {
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = decoder.Decode(raw, nil, nil)
			if err != nil && !runtime.IsNotRegisteredError(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

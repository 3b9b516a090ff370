// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"os"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"
)

const crdFile = "../../config/crd/bases/kubernetes.covalent.xyz_taskgroups.yaml"

// TestCRDIsAcceptable runs the API server's own checks of a CRD: that its rules
// compile, that their cost is bounded, and that the preset status is valid.
func TestCRDIsAcceptable(t *testing.T) {
	for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), readCRD(t)) {
		t.Error(err)
	}
}

// readCRD is the CRD as the API server holds it.
func readCRD(t testing.TB) *apiextensions.CustomResourceDefinition {
	raw, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, &internal, nil); err != nil {
		t.Fatal(err)
	}
	internal.Status.StoredVersions = []string{"v1alpha1"}
	return &internal
}

// TestCRDFitsPlainApply keeps the CRD below what `kubectl apply` can remember in
// its last-applied annotation, so that --server-side is not needed.
func TestCRDFitsPlainApply(t *testing.T) {
	raw, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	const maxAnnotations = 256 << 10 // TotalAnnotationSizeLimitB
	if got, limit := len(asJSON), maxAnnotations*9/10; got > limit {
		t.Errorf("the CRD is %d bytes as JSON, at most %d", got, limit)
	}
}

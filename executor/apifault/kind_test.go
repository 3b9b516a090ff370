// SPDX-License-Identifier: Apache-2.0

package apifault

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestKindOf(t *testing.T) {
	resource := schema.GroupResource{Group: "kubernetes.covalent.xyz", Resource: "taskgroups"}
	forbidden := func(text string) error { return apierrors.NewForbidden(resource, "g", errors.New(text)) }
	for name, tc := range map[string]struct {
		err  error
		want Kind
	}{
		"no mapping":          {&meta.NoKindMatchError{}, NotServed},
		"no such path":        {apierrors.NewGenericServerResponse(404, "post", resource, "", "404 page not found", 0, true), NotServed},
		"a missing group":     {apierrors.NewNotFound(resource, "g"), NotFound},
		"a missing namespace": {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "team"), NamespaceMissing},
		"a terminating namespace": {&apierrors.StatusError{ErrStatus: metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden,
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}}}}, NamespaceTerminating},
		"no permission":     {forbidden("User cannot create resource"), Forbidden},
		"a full quota":      {forbidden("exceeded quota: team, requested: count/taskgroups=1"), Quota},
		"a webhook":         {forbidden(`admission webhook "p.example.com" denied the request: no`), Policy},
		"a policy":          {forbidden("ValidatingAdmissionPolicy 'p' with binding 'b' denied request"), Policy},
		"no user":           {apierrors.NewUnauthorized("no"), Unauthorized},
		"a name in use":     {apierrors.NewAlreadyExists(resource, "g"), AlreadyExists},
		"an older CRD":      {olderCRD(), UnknownFields},
		"wrong values":      {apierrors.NewInvalid(schema.GroupKind{Kind: "TaskGroup"}, "g", nil), Invalid},
		"a wrong request":   {apierrors.NewBadRequest(`strict decoding error: duplicate field "spec.cancel"`), Invalid},
		"too many requests": {apierrors.NewTooManyRequests("slow down", 1), Transient},
		"a broken webhook":  {apierrors.NewInternalError(errors.New("failed calling webhook")), Transient},
		"a connection":      {&url.Error{Op: "Post", Err: io.EOF}, Transient},
		"another error":     {errors.New("strict decoding error: unknown field \"spec.x\""), Other},
	} {
		t.Run(name, func(t *testing.T) {
			if got := KindOf(fmt.Errorf("creating: %w", tc.err)); got != tc.want {
				t.Errorf("%v is %q, want %q", tc.err, got, tc.want)
			}
		})
	}
	if got := KindOf(nil); got != Other {
		t.Errorf("no error is %q", got)
	}
}

func TestFieldsUnknown(t *testing.T) {
	if diff := cmp.Diff([]string{"spec.pod.gpu", "spec.tasks[0].when"}, FieldsUnknown(olderCRD())); diff != "" {
		t.Error(diff)
	}
}

// olderCRD is the response to a strict request with fields that the CRD does not have.
func olderCRD() error {
	return apierrors.NewBadRequest(`TaskGroup in version "v1alpha1" cannot be handled as a TaskGroup: strict decoding error: ` +
		`unknown field "spec.pod.gpu", unknown field "spec.tasks[0].when"`)
}

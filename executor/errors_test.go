// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestCodes pins the wire: codes are added, never changed.
func TestCodes(t *testing.T) {
	want := map[executor.Code]error{
		"Cancelled": executor.ErrCancelled, "Conflict": executor.ErrConflict, "Invalid": executor.ErrInvalid,
		"Configuration": executor.ErrConfiguration, "Unauthorized": executor.ErrUnauthorized, "Forbidden": executor.ErrForbidden,
		"NotInstalled": executor.ErrNotInstalled, "Namespace": executor.ErrNamespace, "Unavailable": executor.ErrUnavailable,
		"NotFinished": executor.ErrNotFinished, "ManifestUnavailable": executor.ErrManifestUnavailable,
		"ManifestInvalid": executor.ErrManifestInvalid, "StoreRefused": executor.ErrStoreRefused, "TaskFailed": executor.ErrTaskFailed, "Internal": executor.ErrInternal,
	}
	got := map[executor.Code]error{}
	for _, code := range executor.Codes() {
		got[code] = executor.ErrorOf(code, "words")
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	for code, err := range want {
		if back, _ := executor.CodeOf(fmt.Errorf("wrapped: %w", err)); back != code {
			t.Errorf("%v is %s, want %s", err, back, code)
		}
	}
	if code, _ := executor.CodeOf(errors.New("anything")); code != "Internal" {
		t.Errorf("an unknown error is %s", code)
	}
	if err := executor.ErrorOf("OfALaterRelease", "words"); !errors.Is(err, executor.ErrInternal) || err.Error() != "words" {
		t.Errorf("an unknown code is %v", err)
	}
}

// TestSendExplainsRefusals: the advice follows from why the API server refused the create.
func TestSendExplainsRefusals(t *testing.T) {
	resource := schema.GroupResource{Group: v1alpha1.GroupName, Resource: "taskgroups"}
	forbidden := func(text string) error { return apierrors.NewForbidden(resource, "g", errors.New(text)) }
	for name, tc := range map[string]struct {
		answer, want error
		says         []string
	}{
		"an older CRD": {
			apierrors.NewBadRequest(`TaskGroup in version "v1alpha1" cannot be handled as a TaskGroup: strict decoding error: unknown field "spec.runner", unknown field "spec.pod.new"`),
			executor.ErrInvalid, []string{"no spec.runner, spec.pod.new", "upgrade the operator and its CRD"},
		},
		"no CRD":              {apierrors.NewGenericServerResponse(404, "post", resource, "", "404 page not found", 0, true), executor.ErrNotInstalled, []string{"install"}},
		"a missing namespace": {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "team"), executor.ErrNamespace, []string{`"team" not found`, "create it"}},
		"a terminating namespace": {&apierrors.StatusError{ErrStatus: metav1.Status{
			Status: "Failure", Code: 403, Reason: metav1.StatusReasonForbidden, Message: "namespace team is being terminated",
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}},
		}}, executor.ErrNamespace, []string{"wait until the namespace is deleted"}},
		"a full quota":  {forbidden("exceeded quota: team"), executor.ErrForbidden, []string{"a larger quota"}},
		"a webhook":     {forbidden(`admission webhook "p" denied the request: no`), executor.ErrForbidden, []string{"change what the message names"}},
		"no permission": {forbidden("User cannot create"), executor.ErrForbidden, []string{"docs/executor.md"}},
	} {
		t.Run(name, func(t *testing.T) {
			var validation string
			cluster, _ := fakeCluster(t, interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, _ client.Object, opts ...client.CreateOption) error {
				validation = (&client.CreateOptions{}).ApplyOptions(opts).FieldValidation
				return tc.answer
			}})
			tasks, resources := functions(3)
			_, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v", err)
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
			if validation != metav1.FieldValidationStrict {
				t.Errorf("created with the field validation %q", validation)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// statusError is an answer of the API server.
func statusError(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

// connectionRefused is the error of a client without an answer.
func connectionRefused() error {
	return &url.Error{Op: "Post", URL: "https://10.0.0.1/apis/batch/v1/namespaces/n/jobs", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
}

// terminating is the answer to a create in a namespace that is being deleted.
func terminating() error {
	err := apierrors.NewForbidden(jobResource, "g", errors.New("unable to create new content in namespace n because it is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

var jobResource = schema.GroupResource{Group: "batch", Resource: "jobs"}

// TestClassifyCreate uses the texts of API servers, admission webhooks and policies.
func TestClassifyCreate(t *testing.T) {
	const (
		waits    = "waits"
		rejected = "rejected"
		retried  = "retried"
	)
	cases := map[string]struct {
		err     error
		want    string
		refusal plan.Refusal
		// uncertain is set if the Job may have been created.
		uncertain bool
	}{
		"Kyverno": {err: statusError(400, "", `admission webhook "validate.kyverno.svc-fail" denied the request: `+"\n\nresource Job/n/g was blocked due to the following policies"),
			want: waits, refusal: plan.RefusedByPolicy},
		"Gatekeeper": {err: statusError(403, metav1.StatusReasonForbidden, `admission webhook "validation.gatekeeper.sh" denied the request: [must-have-owner] you must provide labels: {"owner"}`),
			want: waits, refusal: plan.RefusedByPolicy},
		"a webhook that denies with 500": {err: statusError(500, metav1.StatusReasonInternalError, `admission webhook "x" denied the request: no`),
			want: waits, refusal: plan.RefusedByPolicy, uncertain: true},
		"a ValidatingAdmissionPolicy": {err: statusError(422, metav1.StatusReasonInvalid, `jobs.batch "g" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'all' denied request: failed expression: object.spec.parallelism <= 5`),
			want: waits, refusal: plan.RefusedByPolicy},
		"a quota": {err: apierrors.NewForbidden(jobResource, "g", errors.New("exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=5, limited: count/jobs.batch=5")),
			want: waits, refusal: plan.RefusedByQuota},
		"another plugin": {err: apierrors.NewForbidden(jobResource, "g", errors.New("no PriorityClass with name typo was found")),
			want: waits, refusal: plan.RefusedByPolicy},
		"a webhook that is down": {err: apierrors.NewInternalError(errors.New(`failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post "https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": dial tcp 10.96.1.1:443: connect: connection refused`)),
			want: waits, refusal: plan.Unavailable, uncertain: true},
		"too many requests":           {err: apierrors.NewTooManyRequests("the server has received too many requests", 1), want: waits, refusal: plan.Unavailable},
		"an API server that restarts": {err: apierrors.NewServiceUnavailable("apiserver not ready"), want: waits, refusal: plan.Unavailable, uncertain: true},
		"a timeout":                   {err: apierrors.NewTimeoutError("request did not complete within requested timeout", 1), want: waits, refusal: plan.Unavailable, uncertain: true},
		"a gateway":                   {err: statusError(http.StatusBadGateway, "", "bad gateway"), want: waits, refusal: plan.Unavailable, uncertain: true},
		"a conflict over a quota": {err: apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "few", errors.New("the object has been modified; please apply your changes to the latest version and try again")),
			want: waits, refusal: plan.Unavailable},
		"connection refused":      {err: connectionRefused(), want: waits, refusal: plan.Unavailable, uncertain: true},
		"the schema":              {err: apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "g", field.ErrorList{field.Invalid(field.NewPath("spec", "template"), "x", "must be y")}), want: rejected},
		"a malformed request":     {err: apierrors.NewBadRequest("Job in version \"v1\" cannot be handled as a Job"), want: rejected},
		"an object that is large": {err: apierrors.NewRequestEntityTooLargeError("limit is 3145728"), want: rejected},
		"a terminating namespace": {err: terminating(), want: retried},
		"evidence that is old":    {err: &url.Error{Op: "Post", URL: "https://10.0.0.1", Err: evidence.ErrTooOld}, want: retried},
		"a missing namespace":     {err: apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n"), want: retried},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := classifyCreate("g-1", tc.err)
			kind, refusal := retried, plan.Refusal("")
			message := got.Error()
			if refused, ok := errors.AsType[*refusedError](got); ok {
				kind, refusal = waits, refused.refusal
			} else if r, ok := errors.AsType[*rejectedError](got); ok {
				kind = rejected
				if r.reason != v1alpha1.ReasonJobRejected {
					t.Errorf("the reason is %s", r.reason)
				}
			} else if !errors.Is(got, tc.err) {
				t.Errorf("the error %v does not wrap the answer", got)
			}
			if kind != tc.want || refusal != tc.refusal {
				t.Errorf("the group %s (%s), want %s (%s)", kind, refusal, tc.want, tc.refusal)
			}
			if !strings.Contains(message, "g-1") || !strings.Contains(message, tc.err.Error()) {
				t.Errorf("the message %q lacks the Job or the cause", message)
			}
			if got := isUncertain(tc.err); got != tc.uncertain {
				t.Errorf("the Job may exist: %t, want %t", got, tc.uncertain)
			}
		})
	}
}

func TestClassifyRender(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want v1alpha1.Reason
	}{
		"too large": {fmt.Errorf("rendering: %w", contract.ErrPlanTooLarge), v1alpha1.ReasonTooLarge},
		"no image":  {fmt.Errorf("rendering: %w", jobspec.ErrNoImage), v1alpha1.ReasonJobRejected},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := errors.AsType[*rejectedError](classifyRender(tc.err)); !ok || got.reason != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
	if other := errors.New("other"); !errors.Is(classifyRender(other), other) {
		t.Error("another error is not returned")
	}
}

// TestConflicts: the event of the newer object follows a conflict over a TaskGroup.
// No event follows any other conflict.
func TestConflicts(t *testing.T) {
	for resource, ignored := range map[string]bool{"taskgroups": true, "resourcequotas": false, "jobs": false} {
		err := fmt.Errorf("writing: %w", apierrors.NewConflict(schema.GroupResource{Resource: resource}, "x", errors.New("modified")))
		if result, got := resultOf(err); (got == nil) != ignored || result.RequeueAfter != 0 {
			t.Errorf("a conflict over %s returns %+v, %v", resource, result, got)
		}
	}
}

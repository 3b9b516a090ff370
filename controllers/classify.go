// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// confirmInterval is when a claim that does not hold is judged again. As a rule the
// event that changes it arrives sooner.
const confirmInterval = time.Second

// unconfirmedError is a plan that was not carried out because its claim does not
// hold.
type unconfirmedError struct{ retryAfter time.Duration }

func (e unconfirmedError) Error() string { return "the plan is not confirmed by the API server" }

// rejectedError is a Job that can never be created: the group fails.
type rejectedError struct {
	reason  v1alpha1.Reason
	message string
}

func (e *rejectedError) Error() string { return string(e.reason) + ": " + e.message }

// refusedError is a Job that the API server does not accept for now: the group waits.
type refusedError struct {
	refusal plan.Refusal
	message string
	// retryAfter is when the Job is requested again.
	retryAfter time.Duration
	// held is set if the Job was not requested, because of an earlier refusal.
	held bool
}

func (e *refusedError) Error() string { return e.message }

// plan is the plan for the group whose Job was refused. The message of a group that
// already waits is not updated with each probe of another group.
func (e *refusedError) plan(o *plan.Observed, now time.Time) plan.Plan {
	p := plan.Queue(o, e.refusal, e.message, now)
	if p.Status.IsFinished() {
		return p
	}
	p.RequeueAfter = sooner(p.RequeueAfter, e.retryAfter)
	if e.held && o.TaskGroup.Status.Reason() == v1alpha1.ReasonQueued {
		p.Status = nil
	}
	return p
}

// classifyRender classifies the errors of jobspec.Job.
func classifyRender(err error) error {
	if errors.Is(err, contract.ErrPlanTooLarge) {
		return &rejectedError{reason: v1alpha1.ReasonTooLarge, message: err.Error()}
	}
	if errors.Is(err, jobspec.ErrNoImage) || errors.Is(err, jobspec.ErrNoGateway) {
		return &rejectedError{reason: v1alpha1.ReasonJobRejected, message: err.Error()}
	}
	return err
}

// classifyCreate classifies the errors of a create. An object that violates the
// schema is rejected for good. What admission denies may be accepted later, whatever
// the code is: plugins use 400, 403 and 422 for it
// (k8s.io/apiserver/pkg/admission/plugin/webhook/errors, ToStatusErr). Everything else
// is a request that was not processed.
func classifyCreate(job string, err error) error {
	message := fmt.Sprintf("The API server refused Job %s: %v", job, err)
	code, answered := codeOf(err)
	switch {
	case errors.Is(err, evidence.ErrTooOld), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("creating Job %s: %w", job, err)
	case !answered:
		return &refusedError{refusal: plan.Unavailable, message: fmt.Sprintf("The API server did not answer the request for Job %s: %v", job, err)}
	case isDenial(err):
		return &refusedError{refusal: plan.RefusedByPolicy, message: message}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return &rejectedError{reason: v1alpha1.ReasonJobRejected, message: message}
	case apierrors.IsForbidden(err):
		return &refusedError{refusal: plan.RefusalOf(err.Error()), message: message}
	case code >= http.StatusInternalServerError, apierrors.IsTooManyRequests(err), apierrors.IsConflict(err):
		return &refusedError{refusal: plan.Unavailable, message: message}
	}
	return fmt.Errorf("creating Job %s: %w", job, err)
}

// isDenial reports whether an admission webhook or policy denied the object. Webhooks
// without a code are answered with 400, policies with 422 (k8s.io/apiserver,
// pkg/admission/plugin/webhook/errors and pkg/admission/plugin/policy/validating).
func isDenial(err error) bool {
	text := err.Error()
	return (strings.Contains(text, "admission webhook ") && strings.Contains(text, "denied the request")) ||
		(strings.Contains(text, "ValidatingAdmissionPolicy ") && strings.Contains(text, "denied request"))
}

// resultOf is the result of a pass that ended early.
func resultOf(err error) (ctrl.Result, error) {
	if unconfirmed, ok := errors.AsType[unconfirmedError](err); ok {
		return ctrl.Result{RequeueAfter: unconfirmed.retryAfter}, nil
	}
	if errors.Is(err, errCacheBehind) {
		return ctrl.Result{RequeueAfter: cacheLag}, nil
	}
	return ctrl.Result{}, ignoreConflict(err)
}

// ignoreConflict drops a conflict over a TaskGroup: the cache lags, and the event that
// updates it will arrive. No event follows any other conflict, such as two requests
// that a quota counted at the same time, so it is an error and retried.
func ignoreConflict(err error) error {
	conflict, ok := errors.AsType[*apierrors.StatusError](err)
	if ok && apierrors.IsConflict(err) && conflict.ErrStatus.Details != nil && conflict.ErrStatus.Details.Kind == "taskgroups" {
		return nil
	}
	return err
}

// isUncertain reports whether a create that failed may have taken effect: the API
// server did not answer, or with a code that does not exclude it.
func isUncertain(err error) bool {
	code, answered := codeOf(err)
	return !errors.Is(err, evidence.ErrTooOld) && (!answered || code >= http.StatusInternalServerError)
}

// codeOf is the HTTP status code of the API server's answer, if it answered.
func codeOf(err error) (code int32, answered bool) {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return 0, false
	}
	return status.ErrStatus.Code, true
}

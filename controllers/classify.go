package controllers

import (
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// rejectedError is a Job that can never be created: it ends the group. Any other
// error is tried again.
type rejectedError struct {
	reason  v1alpha1.Reason
	message string
}

func (e *rejectedError) Error() string { return string(e.reason) + ": " + e.message }

// refusedError is a Job that is refused for now: a quota is full, or a policy is
// against it.
type refusedError struct{ message string }

func (e *refusedError) Error() string { return e.message }

// classifyRender sorts the errors of jobspec.Job.
func classifyRender(err error) error {
	if errors.Is(err, contract.ErrPlanTooLarge) {
		return &rejectedError{reason: v1alpha1.ReasonTooLarge, message: err.Error()}
	}
	if errors.Is(err, jobspec.ErrNoImage) {
		return &rejectedError{reason: v1alpha1.ReasonJobRejected, message: err.Error()}
	}
	return err
}

// classifyCreate sorts the API server's refusals. What it calls invalid stays
// invalid, whereas 403 may be a quota or a policy that an admin is about to change.
func classifyCreate(job string, err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return &rejectedError{reason: v1alpha1.ReasonJobRejected, message: fmt.Sprintf(
			"The API server refused Job %s: %v", job, err)}
	}
	if apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return &refusedError{message: fmt.Sprintf("The API server refused Job %s: %v", job, err)}
	}
	return fmt.Errorf("creating Job %s: %w", job, err)
}

func nameConflict(job string) error {
	return &rejectedError{reason: v1alpha1.ReasonNameConflict, message: fmt.Sprintf(
		"Job %s exists and does not belong to this TaskGroup: delete that Job, then create the TaskGroup anew", job)}
}

// quietConflict lets a conflict over a TaskGroup be tried again without an error in
// the log: the cache was behind, and the event that mends it is on its way. No
// event follows any other conflict, such as that of two requests that a quota
// counted at the same moment, so it is an error, and tried again as such.
func quietConflict(err error) error {
	conflict, ok := errors.AsType[*apierrors.StatusError](err)
	if ok && apierrors.IsConflict(err) && conflict.ErrStatus.Details != nil && conflict.ErrStatus.Details.Kind == "taskgroups" {
		return nil
	}
	return err
}

// isUncertain says whether a create that failed may have been carried out: the
// API server gave no answer, or none that denies it.
func isUncertain(err error) bool {
	var status apierrors.APIStatus
	answered := errors.As(err, &status)
	return !errors.Is(err, errDecisionTooOld) && (!answered || status.Status().Code >= http.StatusInternalServerError)
}

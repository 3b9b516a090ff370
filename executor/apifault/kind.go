// SPDX-License-Identifier: Apache-2.0

package apifault

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind is why an API server refused or failed a request.
type Kind string

// The kinds. Other includes errors that are no response of an API server.
const (
	Other Kind = ""
	// NotServed is a cluster without the API of the request.
	NotServed Kind = "NotServed"
	// NotFound is an object that does not exist.
	NotFound Kind = "NotFound"
	// NamespaceMissing is a namespace that does not exist.
	NamespaceMissing Kind = "NamespaceMissing"
	// NamespaceTerminating is a namespace that is being deleted.
	NamespaceTerminating Kind = "NamespaceTerminating"
	// Unauthorized is a user that the API server does not know.
	Unauthorized Kind = "Unauthorized"
	// Forbidden is a missing permission.
	Forbidden Kind = "Forbidden"
	// Quota is a full quota.
	Quota Kind = "Quota"
	// Policy is a webhook or a policy that refuses the object.
	Policy Kind = "Policy"
	// UnknownFields is an object with fields that the installed CRD does not have.
	UnknownFields Kind = "UnknownFields"
	// Invalid is an object with wrong values.
	Invalid Kind = "Invalid"
	// AlreadyExists is an object whose name is used.
	AlreadyExists Kind = "AlreadyExists"
	// Transient is an error that a later request may not meet.
	Transient Kind = "Transient"
)

// KindOf returns the kind of an error. Quotas, webhooks, policies and strict decoding have
// no reason of their own, only their text.
func KindOf(err error) Kind {
	if meta.IsNoMatchError(err) {
		return NotServed
	}
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		if IsTransient(err) {
			return Transient
		}
		return Other
	}
	status := answer.Status()
	switch {
	case apierrors.IsNotFound(err):
		return kindOfMissing(status.Details)
	case apierrors.IsForbidden(err):
		return kindOfForbidden(err, status.Message)
	case apierrors.IsUnauthorized(err):
		return Unauthorized
	case apierrors.IsAlreadyExists(err):
		return AlreadyExists
	case len(FieldsUnknown(err)) > 0:
		return UnknownFields
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return Invalid
	case IsTransient(err):
		return Transient
	}
	return Other
}

// kindOfMissing distinguishes what does not exist; the code of the response is the same.
func kindOfMissing(details *metav1.StatusDetails) Kind {
	switch {
	case details == nil:
		return NotFound
	case slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse }):
		return NotServed
	case details.Kind == "namespaces":
		return NamespaceMissing
	}
	return NotFound
}

// kindOfForbidden distinguishes the refusals of admission from those of the authorizer.
func kindOfForbidden(err error, message string) Kind {
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return NamespaceTerminating
	case strings.Contains(message, "exceeded quota"):
		return Quota
	case strings.Contains(message, "admission webhook"), strings.Contains(message, "ValidatingAdmissionPolicy"):
		return Policy
	}
	return Forbidden
}

var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// FieldsUnknown returns the fields that a strict request has and the installed CRD has not,
// for example spec.pod.image.
func FieldsUnknown(err error) []string {
	if !apierrors.IsBadRequest(err) {
		return nil
	}
	_, list, strict := strings.Cut(err.Error(), "strict decoding error: ")
	if !strict {
		return nil
	}
	var fields []string
	for _, match := range unknownField.FindAllStringSubmatch(list, -1) {
		fields = append(fields, match[1])
	}
	return fields
}

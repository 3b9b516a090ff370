// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/apifault"
)

// Code names an error to another process. Codes are part of the wire contract:
// they are added, never changed.
type Code string

// The sentinels. errors.Is reports which one an error is; its text has the rest,
// and is what a user of Covalent sees (covalent_dispatcher/_core/runner_ng.py
// stores str(ex) and nothing else).
var (
	// ErrCancelled is a group that was cancelled or deleted: Covalent's
	// TaskCancelledError.
	ErrCancelled = errors.New("cancelled")
	// ErrConflict is another TaskGroup under the name of the one to send.
	ErrConflict = errors.New("conflict")
	// ErrInvalid is a request, or a spec that the API server refuses.
	ErrInvalid = errors.New("invalid")
	// ErrConfiguration is a kubeconfig or context that cannot be used.
	ErrConfiguration = errors.New("configuration")
	// ErrUnauthorized is a user whom the API server does not know.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden is a user who may not, a policy or a full quota.
	ErrForbidden = errors.New("forbidden")
	// ErrNotInstalled is a cluster without the TaskGroup API.
	ErrNotInstalled = errors.New("not installed")
	// ErrNamespace is a namespace that does not exist, or is being deleted.
	ErrNamespace = errors.New("no such namespace")
	// ErrUnavailable is an API server that does not answer; trying again may help.
	ErrUnavailable = errors.New("unavailable")
	// ErrNotFinished is Receive for a node that has not finished.
	ErrNotFinished = errors.New("not finished")
	// ErrManifestUnavailable is a manifest that cannot be read; trying again may help.
	ErrManifestUnavailable = errors.New("manifest unavailable")
	// ErrManifestInvalid is a manifest that differs from the status.
	ErrManifestInvalid = errors.New("manifest invalid")
	// ErrStoreRefused is a store that refuses an operation for a reason that does not pass by
	// itself, such as missing permissions, or that has another object than the recorded one.
	ErrStoreRefused = errors.New("refused by the store")
	// ErrTaskFailed is Run's word for a function that failed.
	ErrTaskFailed = errors.New("task failed")
	// ErrInternal is everything else.
	ErrInternal = errors.New("internal")
)

// codes is the table of the wire. The order does not matter: no error is two of them.
var codes = []struct {
	Code  Code
	Err   error
	Retry bool
}{
	{"Cancelled", ErrCancelled, false},
	{"Conflict", ErrConflict, false},
	{"Invalid", ErrInvalid, false},
	{"Configuration", ErrConfiguration, false},
	{"Unauthorized", ErrUnauthorized, false},
	{"Forbidden", ErrForbidden, false},
	{"NotInstalled", ErrNotInstalled, false},
	{"Namespace", ErrNamespace, false},
	{"Unavailable", ErrUnavailable, true},
	{"NotFinished", ErrNotFinished, true},
	{"ManifestUnavailable", ErrManifestUnavailable, true},
	{"ManifestInvalid", ErrManifestInvalid, false},
	{"StoreRefused", ErrStoreRefused, false},
	{"TaskFailed", ErrTaskFailed, false},
	{"Internal", ErrInternal, false},
}

// Codes are all codes of this release.
func Codes() []Code {
	all := make([]Code, 0, len(codes))
	for _, c := range codes {
		all = append(all, c.Code)
	}
	return all
}

// CodeOf is the code of an error, and whether the same call may succeed later.
func CodeOf(err error) (code Code, retry bool) {
	for _, c := range codes {
		if errors.Is(err, c.Err) {
			return c.Code, c.Retry
		}
	}
	return "Internal", false
}

// ErrorOf is the inverse of CodeOf, for a client: an error that matches the
// code's sentinel and reads as the message. A code that is not known is ErrInternal.
func ErrorOf(code Code, message string) error {
	for _, c := range codes {
		if c.Code == code {
			return &Error{text: message, kind: c.Err}
		}
	}
	return &Error{text: message, kind: ErrInternal}
}

// Error is what the package returns: it reads as a sentence for a user and
// matches a sentinel and its cause.
type Error struct {
	text  string
	kind  error
	cause error
}

// Error is the sentence.
func (e *Error) Error() string { return e.text }

// Unwrap is the sentinel and, where there is one, the cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

func errorf(kind error, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{text: err.Error(), kind: kind, cause: err}
}

// explain makes an answer of the API server, or the want of one, an Error that
// reports what to do. What is an Error already stays.
func explain(doing string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	c := classify(err)
	text := fmt.Sprintf("%s: %s", doing, reasonOf(err))
	if c.hint != "" {
		text += ": " + c.hint
	}
	return &Error{text: text, kind: c.kind, cause: err}
}

// class is which sentinel an error of the client is, and what to do.
type class struct {
	kind error
	hint string
}

// classes are by the kind of the API server's answer. Other answers are silence, or Internal.
var classes = map[apifault.Kind]class{
	apifault.NotServed:            {ErrNotInstalled, "install the TaskGroup operator and its CRD in this cluster"},
	apifault.NotFound:             {ErrNotInstalled, "install the TaskGroup operator and its CRD in this cluster"},
	apifault.NamespaceMissing:     {ErrNamespace, "create it, or name another one"},
	apifault.NamespaceTerminating: {ErrNamespace, "wait until the namespace is deleted and create it again, or name another one"},
	apifault.Unauthorized:         {ErrUnauthorized, "the kubeconfig's credentials are wrong or have expired"},
	apifault.Quota:                {ErrForbidden, "wait until other groups have finished, or request a larger quota"},
	apifault.Policy:               {ErrForbidden, "a policy of the cluster refuses the TaskGroup: change what the message names"},
	apifault.Forbidden:            {ErrForbidden, "docs/executor.md has the role that a dispatcher needs"},
	apifault.UnknownFields:        {ErrInvalid, "upgrade the operator and its CRD to the release of the executor, or do not set these options"},
	apifault.Invalid:              {kind: ErrInvalid},
	apifault.Transient:            {kind: ErrUnavailable},
}

func classify(err error) class {
	if known, ok := classes[apifault.KindOf(err)]; ok {
		return known
	}
	if isSilent(err) {
		return class{kind: ErrUnavailable}
	}
	return class{kind: ErrInternal}
}

func isCancelled(err error) bool { return errors.Is(err, ErrCancelled) }

// isTransient reports whether the same request may succeed a moment later.
func isTransient(err error) bool { return apifault.IsTransient(err) || isSilent(err) }

// reasonOf is an error without what only repeats the question.
func reasonOf(err error) string {
	text := err.Error()
	if fields := apifault.FieldsUnknown(err); len(fields) > 0 {
		return "the CRD of this cluster has no " + strings.Join(fields, ", ")
	}
	if _, after, ok := strings.Cut(text, "TaskGroup."+v1alpha1.GroupName+" "); ok && apierrors.IsInvalid(err) {
		text = after
	}
	return text
}

// SPDX-License-Identifier: Apache-2.0

// Package apifault classifies the errors of requests to an API server. The executor and
// the command line give the same advice for the same error.
package apifault

import (
	"errors"
	"net"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// IsTransient reports whether the same request may succeed a moment later.
func IsTransient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
	}
	var dial net.Error
	var call *url.Error
	return errors.As(err, &dial) || errors.As(err, &call)
}

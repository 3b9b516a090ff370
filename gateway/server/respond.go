// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

const (
	// reasonHeader has the reason of a refusal, also in the response to a HEAD.
	reasonHeader = "Taskgroup-Gateway-Reason"
	// retryAfter is the least delay before a retry of a request that may succeed later.
	retryAfter = 2 * time.Second
)

// refusal is the response to a request that fails.
type refusal struct {
	code    int
	reason  contract.GatewayReason
	message string
	// etag is the etag of the object that exists.
	etag string
	// cause is logged and not returned: it may name files of the gateway.
	cause error
}

// Error implements error, for a transfer that is refused at its end.
func (f *refusal) Error() string { return f.message }

// failures are the responses to the errors of the volume or of the bucket.
var failures = []struct {
	err    error
	code   int
	reason contract.GatewayReason
	// hasText is set if the text of the error is for the caller.
	hasText bool
}{
	{volume.ErrNotFound, http.StatusNotFound, contract.GatewayNotFound, false},
	{volume.ErrExists, http.StatusPreconditionFailed, contract.GatewayExists, false},
	{volume.ErrConflict, http.StatusConflict, contract.GatewayConflict, false},
	{volume.ErrDigest, http.StatusUnprocessableEntity, contract.GatewayDigestMismatch, true},
	{volume.ErrBody, http.StatusBadRequest, contract.GatewayInvalidRequest, false},
	{volume.ErrQuota, http.StatusInsufficientStorage, contract.GatewayQuotaExceeded, true},
	{volume.ErrFull, http.StatusInsufficientStorage, contract.GatewayVolumeFull, false},
	{volume.ErrReadOnly, http.StatusServiceUnavailable, contract.GatewayVolumeReadOnly, false},
	{volume.ErrDamaged, http.StatusInternalServerError, contract.GatewayObjectDamaged, false},
	{bucket.ErrTooLarge, http.StatusRequestEntityTooLarge, contract.GatewayInvalidRequest, false},
	{bucket.ErrFull, http.StatusInsufficientStorage, contract.GatewayVolumeFull, false},
	{bucket.ErrDenied, http.StatusServiceUnavailable, contract.GatewayBucketDenied, false},
	{bucket.ErrUnconditional, http.StatusServiceUnavailable, contract.GatewayBucketUnavailable, false},
	{bucket.ErrUnavailable, http.StatusServiceUnavailable, contract.GatewayBucketUnavailable, false},
}

// refusalOf returns the response to an error of the volume, of the bucket, or of the body of
// a request.
func refusalOf(err error) *refusal {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused
	}
	for _, failure := range failures {
		if !errors.Is(err, failure.err) {
			continue
		}
		text := failure.err.Error()
		if failure.hasText {
			text = err.Error()
		}
		return &refusal{code: failure.code, reason: failure.reason, message: text, cause: err}
	}
	return &refusal{code: http.StatusServiceUnavailable, reason: contract.GatewayVolumeUnavailable, message: volume.ErrUnavailable.Error(), cause: err}
}

// write sends the refusal.
func (f *refusal) write(w http.ResponseWriter) {
	body, err := json.Marshal(contract.GatewayError{Reason: f.reason, Message: f.message})
	if err != nil {
		panic(err) // two strings can be encoded
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set(reasonHeader, string(f.reason))
	switch f.code {
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		header.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	case http.StatusUnauthorized:
		header.Set("Www-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		header.Set("Allow", "GET, HEAD, PUT")
	}
	if f.etag != "" {
		header.Set("Etag", f.etag)
	}
	w.WriteHeader(f.code)
	_, _ = w.Write(body)
}

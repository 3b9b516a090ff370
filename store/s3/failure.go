// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"errors"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// temporary are the names of transient errors, whatever their code is: S3 responds with
// 400 to a body that was sent too slowly, and with 409 to concurrent commits; STS with 400
// if it cannot reach the issuer of a token, or does not know the token yet.
var temporary = map[string]bool{
	"IDPCommunicationError": true, "InvalidIdentityToken": true, "RequestThrottled": true, "TooManyRequestsException": true,
	"RequestTimeout": true, "SlowDown": true, "Throttling": true, "ThrottlingException": true, "RequestLimitExceeded": true,
	"OperationAborted": true, "ConditionalRequestConflict": true,
}

// isTemporary reports whether a text begins with the name of a transient error.
func isTemporary(text string) bool {
	name, _, _ := strings.Cut(text, ":")
	return temporary[name]
}

// hints are what to do.
var hints = map[string]string{
	"PermanentRedirect":            "the bucket is of another region: set AWS_REGION",
	"AuthorizationHeaderMalformed": "the bucket is of another region: set AWS_REGION",
	"NotImplemented":               "the server does not know this request; a commit needs If-None-Match",
}

// failure translates an error of the SDK.
func failure(err error) error {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || answer.HTTPStatusCode() == 0 {
		// If no response was received, the SDK adds one without a status.
		return bare(err)
	}
	status := &store.StatusError{Code: answer.HTTPStatusCode()}
	if answer.Response != nil {
		status.RetryAfter = store.RetryAfter(answer.Response.Header)
	}
	if named, ok := errors.AsType[smithy.APIError](err); ok && named.ErrorCode() != "" {
		status.Text = strings.TrimSuffix(named.ErrorCode()+": "+named.ErrorMessage(), ": ")
		status.Temporary = temporary[named.ErrorCode()]
		if hint := hints[named.ErrorCode()]; hint != "" {
			status.Text += ": " + hint
		}
	}
	if status.Code == http.StatusPreconditionFailed {
		return store.ErrExists
	}
	if status.Code/100 == 2 {
		// The server may send 200 before it fails to complete an upload.
		status.Temporary = true
	}
	return status
}

// isChanged reports whether an object to resume has changed.
func isChanged(err error) bool {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	return ok && (answer.HTTPStatusCode() == http.StatusPreconditionFailed || answer.HTTPStatusCode() == http.StatusRequestedRangeNotSatisfiable)
}

// bare removes the operation and the request from an error without a response.
func bare(err error) error {
	if operation, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = operation.Err
	}
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answer.HTTPStatusCode() == 0 {
		err = answer.Err
	}
	if canceled, ok := errors.AsType[*smithy.CanceledError](err); ok {
		err = canceled.Err
	}
	if sending, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		err = sending.Err
	}
	return transport.Bare(err)
}

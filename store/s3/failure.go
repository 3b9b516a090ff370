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

// temporary are names of errors that pass whatever their code is: S3 answers
// 400 to a body that came too slowly, and 409 to commits that met.
var temporary = map[string]bool{
	"RequestTimeout": true, "SlowDown": true, "Throttling": true, "ThrottlingException": true, "RequestLimitExceeded": true,
	"OperationAborted": true, "ConditionalRequestConflict": true,
}

// isTemporary is for a text that begins with the name of an error.
func isTemporary(text string) bool {
	name, _, _ := strings.Cut(text, ":")
	return temporary[name]
}

// hints say what to do.
var hints = map[string]string{
	"PermanentRedirect":            "the bucket is of another region: set AWS_REGION",
	"AuthorizationHeaderMalformed": "the bucket is of another region: set AWS_REGION",
	"NotImplemented":               "the server does not know this request; a commit needs If-None-Match",
}

// failure says in the terms of store what the SDK means.
func failure(err error) error {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
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
		// A completed upload may fail after the server said 200.
		status.Temporary = true
	}
	return status
}

// isChanged is a resumed object that is not the one that it was.
func isChanged(err error) bool {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	return ok && (answer.HTTPStatusCode() == http.StatusPreconditionFailed || answer.HTTPStatusCode() == http.StatusRequestedRangeNotSatisfiable)
}

// bare takes the operation and the request from an error without an answer.
func bare(err error) error {
	if operation, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = operation.Err
	}
	if sending, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		err = sending.Err
	}
	return transport.Bare(err)
}

// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// credentialServices are the variables that name a service which provides credentials.
var credentialServices = []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}

// statusError is an error of the SDK's clients that obtain credentials.
type statusError interface {
	error
	HTTPStatusCode() int
}

// credentialsError translates an error of the search for credentials. It is transient
// only if a service that provides them failed.
func credentialsError(err error) error {
	code := statusOf(err)
	name := service()
	named, _ := errors.AsType[smithy.APIError](err)
	switch {
	case code/100 >= 4 && (name != "" || code >= http.StatusInternalServerError || code == http.StatusTooManyRequests):
		status := &store.StatusError{Code: code, Text: "no credentials"}
		if name != "" {
			status.Text += " by " + name
		}
		if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.Response != nil {
			status.RetryAfter = store.RetryAfter(answer.Response.Header)
		}
		if named != nil {
			status.Text += ": " + strings.TrimPrefix(named.ErrorCode()+": "+named.ErrorMessage(), ": ")
			status.Temporary = temporary[named.ErrorCode()]
		}
		return status
	case name != "":
		return fmt.Errorf("no credentials by %s: %w", name, bare(err))
	}
	return &noCredentialsError{err}
}

// statusOf returns the status of the response that caused an error, or 0.
func statusOf(err error) int {
	if answer, ok := errors.AsType[statusError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// service returns the variable that names the service of credentials, if any.
func service() string {
	for _, name := range credentialServices {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

// noCredentialsError is permanent, whatever the search for credentials failed with.
type noCredentialsError struct{ cause error }

func (e *noCredentialsError) Error() string {
	return store.ErrNoCredentials.Error() + ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from a Secret, mount a file and name it in " +
		"AWS_SHARED_CREDENTIALS_FILE, or use workload identity: " + e.cause.Error()
}

// Is makes it store.ErrNoCredentials.
func (*noCredentialsError) Is(target error) bool { return target == store.ErrNoCredentials }

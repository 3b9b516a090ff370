// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// identity returns the credential of all blobs, which keeps the token.
func (s *Store) identity() (azcore.TokenCredential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential == nil {
		// Stores retries requests for tokens too, so that they end with the pod.
		options := azcore.ClientOptions{Transport: recorder{s.http}, Retry: policy.RetryOptions{MaxRetries: -1}}
		credential, err := s.findCredential(options)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrNoCredentials, err)
		}
		s.credential = tokens{credential}
	}
	return s.credential, nil
}

// findCredential selects one credential in a pod, by the variables that the webhook or a
// user has set. The default chain would continue with the next one if its service is
// not up yet, and end with an error that names all of them.
func (s *Store) findCredential(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	switch {
	case os.Getenv("KUBERNETES_SERVICE_HOST") == "" || os.Getenv("AZURE_TOKEN_CREDENTIALS") != "":
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	case os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: s.disableDiscovery,
		})
	case os.Getenv("AZURE_CLIENT_SECRET") != "" || os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH") != "" || os.Getenv("AZURE_USERNAME") != "":
		return azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options})
	}
	managed := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		managed.ID = azidentity.ClientID(id)
	}
	return azidentity.NewManagedIdentityCredential(managed)
}

// sendErrorKey is the key of the context's *sendError.
type sendErrorKey struct{}

// sendError is the last error of a request for a token that got no response.
type sendError struct{ err error }

// recorder keeps the errors that the library turns into text.
type recorder struct{ client *http.Client }

// Do implements policy.Transporter.
func (r recorder) Do(request *http.Request) (*http.Response, error) {
	answer, err := r.client.Do(request) //nolint:gosec // the address is the configured one of the identity service
	if kept, ok := request.Context().Value(sendErrorKey{}).(*sendError); ok {
		kept.err = err
	}
	return answer, err
}

// tokens returns errors that can be classified.
type tokens struct{ azcore.TokenCredential }

// GetToken implements azcore.TokenCredential.
func (t tokens) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	ctx, cancel := context.WithTimeout(ctx, transport.CredentialTimeout)
	defer cancel()
	kept := &sendError{}
	token, err := t.TokenCredential.GetToken(context.WithValue(ctx, sendErrorKey{}, kept), options)
	if err == nil {
		return token, nil
	}
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && failed.RawResponse != nil {
		return token, &tokenError{&store.StatusError{
			Code: failed.RawResponse.StatusCode, Text: "no token for these credentials", RetryAfter: store.RetryAfter(failed.RawResponse.Header),
		}}
	}
	if kept.err != nil {
		return token, &tokenError{transport.Bare(kept.err)}
	}
	return token, err
}

// tokenError is not retried by the library: Stores does it.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "no token: " + e.cause.Error() }
func (e *tokenError) Unwrap() error { return e.cause }
func (e *tokenError) NonRetriable() {}

// SPDX-License-Identifier: Apache-2.0

package gcs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

const (
	scope = "https://www.googleapis.com/auth/devstorage.read_write"
	// metadataHost is the metadata server of a node.
	metadataHost = "169.254.169.254"
	tokenPath    = "/computeMetadata/v1/instance/service-accounts/default/token"
	maxToken     = 64 << 10
)

// findTokens returns the credentials of a file, if there is one, or those of the node. In
// a pod the metadata server is not looked for: it starts to serve a pod seconds after
// the pod has started, and the library keeps the result of one search for ever.
func (s *Store) findTokens() (auth.TokenProvider, error) {
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" && !hasFile() {
		return auth.NewCachedTokenProvider(&metadata{client: transport.LocalClient(), host: cmp.Or(s.metadataAt, os.Getenv("GCE_METADATA_HOST"), metadataHost)}, nil), nil
	}
	found, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{scope}})
	if err != nil {
		return nil, fmt.Errorf("%w: mount a key and name it in GOOGLE_APPLICATION_CREDENTIALS, or use workload identity: %w", store.ErrNoCredentials, err)
	}
	return found, nil
}

// hasFile reports whether there is a file of credentials.
func hasFile() bool {
	if os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") != "" {
		return true
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(home, ".config", "gcloud", "application_default_credentials.json"))
	return err == nil
}

// metadata obtains tokens from the metadata server.
type metadata struct {
	client *http.Client
	host   string
}

// Token implements auth.TokenProvider.
func (m *metadata) Token(ctx context.Context) (*auth.Token, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.host+tokenPath+"?scopes="+url.QueryEscape(scope), nil)
	if err != nil {
		return nil, errors.New("malformed GCE_METADATA_HOST")
	}
	request.Header.Set("Metadata-Flavor", "Google")
	answer, err := m.client.Do(request)
	if err != nil {
		return nil, transport.Bare(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, &store.StatusError{
			Code: answer.StatusCode, Text: "give the pod's service account a workload identity, or mount a key and name it in GOOGLE_APPLICATION_CREDENTIALS",
			RetryAfter: store.RetryAfter(answer.Header),
		}
	}
	var token struct {
		Value   string `json:"access_token"`
		Type    string `json:"token_type"`
		Seconds int    `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxToken)).Decode(&token); err != nil || token.Value == "" {
		// A proxy of the node that is starting may respond with something else.
		return nil, store.Transient(errors.New("the metadata server did not send a token"))
	}
	return &auth.Token{Value: token.Value, Type: token.Type, Expiry: time.Now().Add(time.Duration(token.Seconds) * time.Second)}, nil
}

// tokenError translates an error of a token service.
func tokenError(err error) error {
	if failed, ok := errors.AsType[*auth.Error](err); ok && failed.Response != nil {
		return &store.StatusError{
			Code: failed.Response.StatusCode, Text: "no token for these credentials", RetryAfter: store.RetryAfter(failed.Response.Header),
		}
	}
	return fmt.Errorf("no token: %w", transport.Bare(err))
}

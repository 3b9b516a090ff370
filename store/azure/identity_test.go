// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

// sendToken responds as the token endpoints of Entra and of a managed identity do.
func sendToken(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"access_token":"t","expires_in":"3600","expires_on":"32503680000","token_type":"Bearer","resource":"r"}`)
}

const discoveryPath = "/tenant/v2.0/.well-known/openid-configuration"

// identityService is a service that provides tokens to pods.
type identityService struct {
	method, path string
	setEnv       func(t *testing.T, endpoint string)
}

var (
	workloadIdentity = identityService{"COMPLETE", "/tenant/oauth2/v2.0/token", func(t *testing.T, endpoint string) {
		token := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(token, []byte("jwt"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AZURE_FEDERATED_TOKEN_FILE", token)
		t.Setenv("AZURE_TENANT_ID", "tenant")
		t.Setenv("AZURE_CLIENT_ID", "client")
		t.Setenv("AZURE_AUTHORITY_HOST", endpoint+"/")
	}}
	managedIdentity = identityService{"GET", "/msi/token", func(t *testing.T, endpoint string) {
		t.Setenv("IDENTITY_ENDPOINT", endpoint+"/msi/token")
		t.Setenv("IDENTITY_HEADER", "secret")
	}}
)

// TestIdentityServices: the services that provide tokens may fail in the first seconds of
// a pod, as stores may.
func TestIdentityServices(t *testing.T) {
	again := func(f faulty.Fault) []faulty.Fault { return slices.Repeat([]faulty.Fault{f}, 2) }
	tests := map[string]struct {
		service identityService
		late    time.Duration
		faults  []faulty.Fault
		want    string
	}{
		"Entra":                         {workloadIdentity, 0, nil, ""},
		"Entra is reached late":         {workloadIdentity, time.Second, nil, ""},
		"Entra: 503":                    {workloadIdentity, 0, again(faulty.Status(503)), ""},
		"Entra: reset":                  {workloadIdentity, 0, again(faulty.Reset), ""},
		"Entra: throttled":              {workloadIdentity, 0, again(faulty.Status(429)), ""},
		"Entra: no discovery":           {identityService{"GET", discoveryPath, workloadIdentity.setEnv}, 0, again(faulty.Status(503)), ""},
		"Entra: refused":                {workloadIdentity, 0, again(faulty.Status(401)), "401 Unauthorized: no token for these credentials"},
		"a managed identity":            {managedIdentity, 0, nil, ""},
		"a managed identity, late":      {managedIdentity, time.Second, nil, ""},
		"a managed identity: 503":       {managedIdentity, 0, again(faulty.Status(503)), ""},
		"a managed identity: reset":     {managedIdentity, 0, again(faulty.Reset), ""},
		"a managed identity: throttled": {managedIdentity, 0, again(faulty.Status(429)), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, name := range []string{
				"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS", "AZURE_FEDERATED_TOKEN_FILE",
			} {
				t.Setenv(name, "")
			}
			t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
			var authorization string
			container, tokens := faulty.NewTLS(t), faulty.NewTLS(t)
			if test.late > 0 {
				tokens = faulty.NewLateTLS(t, test.late)
			}
			container.Fail("PUT", "/c/k", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				authorization = r.Header.Get("Authorization")
				next.ServeHTTP(w, r)
			})
			t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
			t.Setenv("AZURE_STORAGE_BLOB_ENDPOINT", container.URL)
			tokens.Set(discoveryPath, []byte(strings.ReplaceAll(`{"token_endpoint":"E/tenant/oauth2/v2.0/token","authorization_endpoint":"E/a","issuer":"E/tenant/v2.0"}`, "E", tokens.URL)))
			tokens.Fail(test.service.method, test.service.path, test.faults...)
			for _, service := range []identityService{workloadIdentity, managedIdentity} {
				tokens.Fail(service.method, service.path, sendToken)
			}
			test.service.setEnv(t, tokens.URL)
			s := store.New(map[string]store.Backend{"azblob": &Store{http: tokens.Client(), disableDiscovery: true}})
			s.RetryTimeout = time.Minute
			_, err := s.Put(t.Context(), "azblob://c/k", strings.NewReader("data"))
			if test.want == "" && (err != nil || authorization != "Bearer t") {
				t.Errorf("authorization %q, error %v", authorization, err)
			}
			if test.want != "" && (err == nil || !strings.HasSuffix(err.Error(), test.want) || !store.IsPermanent(err)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

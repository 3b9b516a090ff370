// SPDX-License-Identifier: Apache-2.0

package s3_test

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
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

const (
	stsCredentials = `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>` +
		`<AccessKeyId>FROMSTS</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>` +
		`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
	agentCredentials = `{"AccessKeyId":"FROMAGENT","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}`
)

// reply responds to a request.
func reply(code int, contentType, body string) faulty.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func stsError(code int, name string) faulty.Fault {
	return reply(code, "text/xml", "<ErrorResponse><Error><Code>"+name+"</Code><Message>m</Message></Error></ErrorResponse>")
}

// credentialService is a service that provides credentials to pods.
type credentialService struct {
	// path and method are the path and the method of its requests.
	method, path string
	setEnv       func(t *testing.T, endpoint string)
	success      faulty.Fault
	key          string
}

var (
	sts = credentialService{"COMPLETE", "/", func(t *testing.T, endpoint string) {
		token := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(token, []byte("jwt"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
		t.Setenv("AWS_ENDPOINT_URL_STS", endpoint)
	}, reply(200, "text/xml", stsCredentials), "FROMSTS"}
	agent = credentialService{"GET", "/v1/credentials", func(t *testing.T, endpoint string) {
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint+"/v1/credentials")
	}, reply(200, "application/json", agentCredentials), "FROMAGENT"}
)

// TestCredentialServices: the services that provide credentials may fail in the first
// seconds of a pod, as stores may.
func TestCredentialServices(t *testing.T) {
	again := func(f faulty.Fault) []faulty.Fault { return slices.Repeat([]faulty.Fault{f}, 2) }
	newServer := func(t *testing.T) *faulty.Store { return faulty.New(t) }
	tests := map[string]struct {
		service credentialService
		start   func(t *testing.T) *faulty.Store
		faults  []faulty.Fault
		want    string
	}{
		"STS starts late":          {sts, func(t *testing.T) *faulty.Store { return faulty.NewLate(t, time.Second) }, nil, ""},
		"STS: 503":                 {sts, newServer, again(stsError(503, "ServiceUnavailable")), ""},
		"STS: reset":               {sts, newServer, again(faulty.Reset), ""},
		"STS: throttled":           {sts, newServer, again(stsError(400, "Throttling")), ""},
		"STS: no issuer":           {sts, newServer, again(stsError(400, "IDPCommunicationError")), ""},
		"STS: refused":             {sts, newServer, again(stsError(403, "AccessDenied")), "403 Forbidden: no credentials by AWS_WEB_IDENTITY_TOKEN_FILE: AccessDenied: m"},
		"the agent starts late":    {agent, func(t *testing.T) *faulty.Store { return faulty.NewLate(t, time.Second) }, nil, ""},
		"the agent: 503":           {agent, newServer, again(reply(503, "text/plain", "starting")), ""},
		"the agent: reset":         {agent, newServer, again(faulty.Reset), ""},
		"the agent: throttled":     {agent, newServer, again(reply(429, "application/json", `{"code":"ThrottlingException","message":"m"}`)), ""},
		"the agent: refused":       {agent, newServer, again(reply(400, "application/json", `{"code":"AccessDenied","message":"m"}`)), "400 Bad Request: no credentials by AWS_CONTAINER_CREDENTIALS_FULL_URI: AccessDenied: m"},
		"the agent: refused, text": {agent, newServer, again(reply(404, "text/plain", "no association")), "404 Not Found: no credentials by AWS_CONTAINER_CREDENTIALS_FULL_URI: no association"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var authorization string
			bucket := faulty.New(t)
			bucket.Fail("PUT", "/b/k", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				authorization = r.Header.Get("Authorization")
				next.ServeHTTP(w, r)
			})
			s3server.SetEnv(t, bucket.URL)
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			// Without the delays of the SDK's own retries.
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			service := test.start(t)
			service.Fail(test.service.method, test.service.path, append(test.faults, slices.Repeat([]faulty.Fault{test.service.success}, 5)...)...)
			test.service.setEnv(t, service.URL)
			s := store.New(map[string]store.Backend{"s3": &s3.Store{}})
			s.RetryTimeout = time.Minute
			_, err := s.Put(t.Context(), "s3://b/k", strings.NewReader("data"))
			if test.want == "" && (err != nil || !strings.Contains(authorization, "Credential="+test.service.key+"/")) {
				t.Errorf("authorization %q, error %v", authorization, err)
			}
			if test.want != "" && (err == nil || err.Error() != "s3://b/k: "+test.want || !store.IsPermanent(err)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

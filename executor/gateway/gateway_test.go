// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// api is an API server with a gateway behind its service proxy.
type api struct {
	*httptest.Server
	client client.WithWatch

	mu sync.Mutex
	// exists is set for a gateway, which refuses requests without a token.
	exists bool
	// answer responds for the gateway.
	answer http.HandlerFunc
	// requests are those that the API server got.
	requests []*http.Request
	// issued is how many tokens were requested.
	issued int
	// refuses is the error of requests for tokens.
	refuses error
}

func newAPI(t *testing.T, existing ...client.Object) *api {
	t.Helper()
	a := &api{}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests = append(a.requests, r)
		if a.exists && r.Header.Get(contract.GatewayTokenHeader) == "" {
			refuse(http.StatusUnauthorized, contract.GatewayUnauthenticated)(w, r)
			return
		}
		a.answer(w, r)
	}))
	t.Cleanup(a.Close)
	scheme := runtime.NewScheme()
	gateway.AddToScheme(scheme)
	a.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(existing...).WithInterceptorFuncs(interceptor.Funcs{
		SubResourceCreate: func(ctx context.Context, c client.Client, _ string, obj, sub client.Object, _ ...client.SubResourceCreateOption) error {
			if a.refuses != nil {
				return a.refuses
			}
			if err := c.Get(ctx, client.ObjectKeyFromObject(obj), &corev1.ServiceAccount{}); err != nil {
				return err
			}
			request := sub.(*authenticationv1.TokenRequest)
			if len(request.Spec.Audiences) != 1 || request.Spec.Audiences[0] != contract.GatewayAudience {
				t.Errorf("a token for %v was requested", request.Spec.Audiences)
			}
			a.issued++
			request.Status.Token = "token-" + strings.Repeat("i", a.issued)
			return nil
		},
	}).Build()
	return a
}

func (a *api) gateway(t *testing.T, address string) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(gateway.Config{
		API:    &rest.Config{Host: a.URL, BearerToken: "user", TLSClientConfig: rest.TLSClientConfig{Insecure: true}},
		Client: a.client, Namespace: "team", Address: address,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func account() *corev1.ServiceAccount {
	sa := &corev1.ServiceAccount{}
	sa.Namespace, sa.Name = "team", gateway.DefaultAccount
	return sa
}

// refuse responds as the gateway does.
func refuse(code int, reason contract.GatewayReason) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(contract.GatewayError{Reason: reason, Message: "words"})
	}
}

// status responds as the API server does.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"words of the API server","reason":"NotFound"}`)
	}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		exists bool
		want   error
		says   string
		passes bool
	}{
		"a gateway":              {answer: refuse(404, contract.GatewayNotFound), exists: true},
		"no Service":             {answer: status(404), want: gateway.ErrNone, says: "there is no taskgroup-system/taskgroup-gateway"},
		"no right to connect":    {answer: status(403), want: gateway.ErrForbidden, says: "words of the API server"},
		"no endpoints":           {answer: status(503), says: "503: words of the API server", passes: true},
		"refused by the gateway": {answer: refuse(403, contract.GatewayNotPermitted), exists: true, want: gateway.ErrForbidden, says: "words"},
		"a full volume":          {answer: refuse(503, contract.GatewayVolumeUnavailable), says: "VolumeUnavailable", passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, account())
			a.answer, a.exists = tc.answer, tc.exists
			err := a.gateway(t, "").Check(t.Context())
			if tc.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.says) || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.says)
			}
			if gateway.IsUnavailable(err) != tc.passes {
				t.Errorf("%v may pass: %t", err, !tc.passes)
			}
		})
	}
}

// TestRequestsThroughTheServiceProxy: the API server gets the user's credentials, and the
// gateway the token of the account.
func TestRequestsThroughTheServiceProxy(t *testing.T) {
	a := newAPI(t, account())
	a.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		_, _ = io.WriteString(w, "object")
	}
	backend := a.gateway(t, "").Backend()
	object, err := backend.Open(t.Context(), "gateway://team/groups/uid/a1/3/output", store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if raw, err := io.ReadAll(object); err != nil || string(raw) != "object" {
		t.Errorf("read %q, %v", raw, err)
	}
	request := a.requests[0]
	const path = "/api/v1/namespaces/taskgroup-system/services/https:taskgroup-gateway:https/proxy/v1/namespaces/team/groups/uid/a1/3/output"
	if request.URL.Path != path {
		t.Errorf("requested %s, want %s", request.URL.Path, path)
	}
	if got := request.Header.Get("Authorization"); got != "Bearer user" {
		t.Errorf("Authorization is %q", got)
	}
	if got := request.Header.Get(contract.GatewayTokenHeader); got != "token-i" {
		t.Errorf("the token is %q", got)
	}
}

// TestDirectRequests: a URL gets the token of the account only.
func TestDirectRequests(t *testing.T) {
	a := newAPI(t, account())
	if _, err := gateway.New(gateway.Config{API: &rest.Config{Host: a.URL}, Client: a.client, Namespace: "team", Address: "gateway"}); err == nil {
		t.Error("an address that is neither was accepted")
	}
	if got := a.gateway(t, "other/name").Outputs(); got != "gateway://team/groups" {
		t.Errorf("outputs are %s", got)
	}
}

// TestAccountOfANewNamespace: users that may create the account need not prepare anything.
func TestAccountOfANewNamespace(t *testing.T) {
	a := newAPI(t)
	a.answer, a.exists = refuse(404, contract.GatewayNotFound), true
	if err := a.gateway(t, "").Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var binding rbacv1.RoleBinding
	if err := a.client.Get(t.Context(), client.ObjectKeyFromObject(account()), &binding); err != nil {
		t.Fatal(err)
	}
	if binding.RoleRef.Name != "taskgroup-executor" || len(binding.Subjects) != 1 || binding.Subjects[0].Namespace != "team" {
		t.Errorf("bound %+v", binding)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	a := newAPI(t, account())
	a.refuses = apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, gateway.DefaultAccount, nil)
	a.answer, a.exists = refuse(404, contract.GatewayNotFound), true
	err := a.gateway(t, "").Check(t.Context())
	if !errors.Is(err, gateway.ErrForbidden) || !strings.Contains(err.Error(), "ask an administrator to apply config/dispatcher to the namespace team") {
		t.Errorf("got %v", err)
	}
	// A cluster without a gateway reports it, whatever the user may do.
	a.answer, a.exists = status(404), false
	if err := a.gateway(t, "").Check(t.Context()); !errors.Is(err, gateway.ErrNone) {
		t.Errorf("without a gateway: %v", err)
	}
	a.exists = true
	a.refuses = apierrors.NewServiceUnavailable("later")
	if err = a.gateway(t, "").Check(t.Context()); !gateway.IsUnavailable(err) || !store.IsTransient(err) {
		t.Errorf("got %v, which passes", err)
	}
}

// TestTokensAreUsedAgain: a token serves many requests, and one that the gateway refuses
// right after its request is not replaced for ever.
func TestTokensAreUsedAgain(t *testing.T) {
	a := newAPI(t, account())
	a.answer = refuse(401, contract.GatewayUnauthenticated)
	backend := a.gateway(t, "").Backend()
	for range 3 {
		_, err := backend.Open(t.Context(), "gateway://team/groups/uid/a1/3/output", store.Position{})
		if err == nil || store.IsTransient(err) {
			t.Errorf("got %v", err)
		}
	}
	if a.issued != 1 {
		t.Errorf("%d tokens were requested", a.issued)
	}
}

// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"
)

// reviews is an API server that authenticates the token "known".
type reviews struct {
	access authorizationv1.SubjectAccessReviewStatus
	err    error
	// tokens counts token reviews; spec is the spec of the last access review.
	tokens int
	spec   authorizationv1.SubjectAccessReviewSpec
}

// handler returns the metrics page behind a Gate.
func (r *reviews) handler(t *testing.T, config Config) http.Handler {
	t.Helper()
	clients := fake.NewClientset()
	clients.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		r.tokens++
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		review.Status.Authenticated = review.Spec.Token == "known"
		review.Status.User = authenticationv1.UserInfo{
			Username: "prometheus", Groups: []string{"scrapers"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}},
		}
		return true, review, r.err
	})
	clients.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		r.spec = review.Spec
		review.Status = r.access
		return true, review, nil
	})
	config.Tokens, config.Accesses = clients.AuthenticationV1().TokenReviews(), clients.AuthorizationV1().SubjectAccessReviews()
	gate, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return gate.Handler(logr.Discard(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func send(handler http.Handler, method, path, authorization string) int {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

func get(handler http.Handler, path, authorization string) int {
	return send(handler, http.MethodGet, path, authorization)
}

func TestVerdict(t *testing.T) {
	allowed := authorizationv1.SubjectAccessReviewStatus{Allowed: true}
	cases := map[string]struct {
		authorization string
		reviews       reviews
		want          int
	}{
		"no token":                 {"", reviews{access: allowed}, http.StatusUnauthorized},
		"a password":               {"Basic known", reviews{access: allowed}, http.StatusUnauthorized},
		"an empty token":           {"Bearer ", reviews{access: allowed}, http.StatusUnauthorized},
		"an unknown token":         {"Bearer unknown", reviews{access: allowed}, http.StatusUnauthorized},
		"a user without access":    {"Bearer known", reviews{}, http.StatusForbidden},
		"a user who is denied":     {"Bearer known", reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true}}, http.StatusForbidden},
		"a user with access":       {"bearer known", reviews{access: allowed}, http.StatusOK},
		"API server unavailable":   {"Bearer known", reviews{access: allowed, err: errors.New("unavailable")}, http.StatusInternalServerError},
		"authorizer with an error": {"Bearer known", reviews{access: authorizationv1.SubjectAccessReviewStatus{EvaluationError: "broken"}}, http.StatusInternalServerError},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := get(tc.reviews.handler(t, Config{}), "/metrics", tc.authorization); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestReviewIsAboutTheRequest(t *testing.T) {
	api := reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}
	get(api.handler(t, Config{}), "/metrics", "Bearer known")
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "prometheus", Groups: []string{"scrapers"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"},
	}
	if diff := cmp.Diff(want, api.spec); diff != "" {
		t.Errorf("the access review (-want +got):\n%s", diff)
	}
}

// TestVerdictsAreCached keeps a scraper from causing two requests to the API server
// each time, and a verdict from serving another path or after an error.
func TestVerdictsAreCached(t *testing.T) {
	api := reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}, err: errors.New("unavailable")}
	handler := api.handler(t, Config{})
	steps := []struct {
		path string
		want int
	}{{"/metrics", 1}, {"/metrics", 2}, {"/metrics", 2}, {"/other", 3}, {"/other", 3}}
	for i, step := range steps {
		get(handler, step.path, "Bearer known")
		if api.tokens != step.want {
			t.Errorf("step %d: %d token reviews, want %d", i, api.tokens, step.want)
		}
		api.err = nil
	}
}

// TestUnknownRequestsAreLimited sends more tokens than the limit allows: the API server
// receives few of them, and a scraper that was allowed before is not locked out.
func TestUnknownRequestsAreLimited(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Unix(1, 0))
	api := reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}
	handler := api.handler(t, Config{ReviewRate: 0.5, ReviewBurst: 3, Clock: now})
	if got := get(handler, "/metrics", "Bearer known"); got != http.StatusOK {
		t.Fatalf("the scraper gets %d", got)
	}
	flood := func(want ...int) {
		t.Helper()
		var got []int
		for i := range want {
			got = append(got, get(handler, "/metrics", fmt.Sprintf("Bearer %d at %s", i, now.Now())))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("unknown tokens (-want +got):\n%s", diff)
		}
	}
	flood(401, 401, 429, 429, 429)
	// The scraper's verdict has expired; 61 seconds allow three reviews, and no fourth one.
	now.SetTime(now.Now().Add(allowedFor + time.Second))
	flood(401, 401, 401, 429, 429)
	if got := get(handler, "/metrics", "Bearer known"); got != http.StatusOK {
		t.Errorf("the scraper gets %d", got)
	}
	if api.tokens != 7 {
		t.Errorf("%d token reviews, want 7", api.tokens)
	}
	// The exemption is for the request that was allowed, not for its token.
	if got := send(handler, "SEARCH", "/metrics", "Bearer known"); got != http.StatusTooManyRequests {
		t.Errorf("another method gets %d", got)
	}
	if got := get(handler, "/other", "Bearer known"); got != http.StatusTooManyRequests {
		t.Errorf("another path gets %d", got)
	}
}

// TestAccessThatWasRevoked subjects a scraper to the limit once it is denied.
func TestAccessThatWasRevoked(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Unix(1, 0))
	api := reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}
	handler := api.handler(t, Config{ReviewRate: 1e-6, ReviewBurst: 1, Clock: now})
	var got []int
	for range 3 {
		got = append(got, get(handler, "/metrics", "Bearer known"))
		api.access.Allowed = false
		now.SetTime(now.Now().Add(allowedFor + time.Second))
	}
	if diff := cmp.Diff([]int{http.StatusOK, http.StatusForbidden, http.StatusTooManyRequests}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigValidate(t *testing.T) {
	_, err := New(Config{ReviewRate: -1, ReviewBurst: -2})
	want := "configuring the authorization of metrics requests: field Tokens is required\nfield Accesses is required\n" +
		"field ReviewRate must not be negative: -1\nfield ReviewBurst must not be negative: -2"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

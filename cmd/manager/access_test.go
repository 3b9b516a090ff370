package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// reviews is an API server that knows the token "known" and answers as told.
type reviews struct {
	access authorizationv1.SubjectAccessReviewStatus
	err    error
	// asked counts token reviews; spec is what the last access review was about.
	asked int
	spec  authorizationv1.SubjectAccessReviewSpec
}

func (r *reviews) gate() *gate {
	clients := fake.NewClientset()
	clients.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		r.asked++
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
	return newGate(clients.AuthenticationV1().TokenReviews(), clients.AuthorizationV1().SubjectAccessReviews())
}

func get(handler http.Handler, path, authorization string) int {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

var metricsPage = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestGate(t *testing.T) {
	allowed := authorizationv1.SubjectAccessReviewStatus{Allowed: true}
	cases := map[string]struct {
		authorization string
		reviews       reviews
		want          int
	}{
		"nobody":                      {"", reviews{access: allowed}, http.StatusUnauthorized},
		"a password":                  {"Basic known", reviews{access: allowed}, http.StatusUnauthorized},
		"an empty token":              {"Bearer ", reviews{access: allowed}, http.StatusUnauthorized},
		"a token of nobody":           {"Bearer unknown", reviews{access: allowed}, http.StatusUnauthorized},
		"somebody":                    {"Bearer known", reviews{}, http.StatusForbidden},
		"somebody who is denied":      {"Bearer known", reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true}}, http.StatusForbidden},
		"a reader":                    {"bearer known", reviews{access: allowed}, http.StatusOK},
		"an API server that is down":  {"Bearer known", reviews{access: allowed, err: errors.New("down")}, http.StatusInternalServerError},
		"an authorizer that is wrong": {"Bearer known", reviews{access: authorizationv1.SubjectAccessReviewStatus{EvaluationError: "broken"}}, http.StatusInternalServerError},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := get(tc.reviews.gate().before(logr.Discard(), metricsPage), "/metrics", tc.authorization); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestGateAsksAboutTheRequest(t *testing.T) {
	api := reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}
	get(api.gate().before(logr.Discard(), metricsPage), "/metrics", "Bearer known")
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "prometheus", Groups: []string{"scrapers"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"},
	}
	if diff := cmp.Diff(want, api.spec); diff != "" {
		t.Errorf("the access review (-want +got):\n%s", diff)
	}
}

// TestGateRemembers keeps a scraper from being two requests to the API server
// each time, and one verdict from serving for another path or after an error.
func TestGateRemembers(t *testing.T) {
	api := reviews{access: authorizationv1.SubjectAccessReviewStatus{Allowed: true}, err: errors.New("down")}
	handler := api.gate().before(logr.Discard(), metricsPage)
	steps := []struct {
		path string
		want int
	}{{"/metrics", 1}, {"/metrics", 2}, {"/metrics", 2}, {"/other", 3}, {"/other", 3}}
	for i, step := range steps {
		get(handler, step.path, "Bearer known")
		if api.asked != step.want {
			t.Errorf("step %d: asked %d times, want %d", i, api.asked, step.want)
		}
		api.err = nil
	}
}

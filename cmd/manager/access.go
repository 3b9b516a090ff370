package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// maxVerdicts bounds the memory that callers can make the operator use.
	maxVerdicts = 256
	// allowedFor and deniedFor are how long a verdict stands: a scraper asks twice
	// a minute, and a person who was just given access should not wait.
	allowedFor = time.Minute
	deniedFor  = 10 * time.Second
	// reviewTimeout is how long the API server may take.
	reviewTimeout = 10 * time.Second
)

// gate lets those pass whom the API server knows by their bearer token and
// allows the request: a TokenReview, then a SubjectAccessReview.
type gate struct {
	tokens   authenticationclient.TokenReviewInterface
	accesses authorizationclient.SubjectAccessReviewInterface
	// verdicts are HTTP status codes by request.
	verdicts *cache.LRUExpireCache
}

// request is what a verdict is about. The token itself is not kept.
type request struct {
	token      [sha256.Size]byte
	verb, path string
}

// guardMetrics is a metricsserver.Options.FilterProvider.
func guardMetrics(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	authentication, err := authenticationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("connecting for token reviews: %w", err)
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("connecting for access reviews: %w", err)
	}
	g := newGate(authentication.TokenReviews(), authorization.SubjectAccessReviews())
	return func(log logr.Logger, next http.Handler) (http.Handler, error) { return g.before(log, next), nil }, nil
}

func newGate(tokens authenticationclient.TokenReviewInterface, accesses authorizationclient.SubjectAccessReviewInterface) *gate {
	return &gate{tokens: tokens, accesses: accesses, verdicts: cache.NewLRUExpireCache(maxVerdicts)}
}

func (g *gate) before(log logr.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict, err := g.judge(r)
		if err != nil {
			log.Error(err, "could not ask who may read the metrics")
		}
		if verdict != http.StatusOK {
			http.Error(w, http.StatusText(verdict), verdict)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// judge returns the HTTP status for a request; the error is one of the operator
// or the API server, not of the caller.
func (g *gate) judge(r *http.Request) (int, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, nil
	}
	key := request{sha256.Sum256([]byte(token)), strings.ToLower(r.Method), r.URL.Path}
	if known, ok := g.verdicts.Get(key); ok {
		return known.(int), nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	verdict, err := g.review(ctx, token, key)
	if err != nil {
		return http.StatusInternalServerError, err
	}
	stands := deniedFor
	if verdict == http.StatusOK {
		stands = allowedFor
	}
	g.verdicts.Add(key, verdict, stands)
	return verdict, nil
}

func (g *gate) review(ctx context.Context, token string, what request) (int, error) {
	who, err := g.tokens.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("reviewing a token: %w", err)
	}
	if !who.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := who.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, value := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(value)
	}
	access, err := g.accesses.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: what.verb, Path: what.path},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("reviewing the access of %s: %w", user.Username, err)
	}
	if access.Status.EvaluationError != "" && !access.Status.Allowed {
		return 0, errors.New("reviewing the access of " + user.Username + ": " + access.Status.EvaluationError)
	}
	if !access.Status.Allowed || access.Status.Denied {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

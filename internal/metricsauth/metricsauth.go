// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// maxVerdicts bounds the memory that callers can make the operator use.
	maxVerdicts = 256
	// allowedFor and deniedFor are the lifetimes of a verdict: a scraper requests the
	// metrics twice a minute, and a user who was just given access should not wait.
	allowedFor = time.Minute
	deniedFor  = 10 * time.Second
	// knownFor is how long a request that was allowed is exempt from the rate limit.
	knownFor = time.Hour
	// reviewTimeout bounds both reviews of a request.
	reviewTimeout = 10 * time.Second
	// defaultReviewRate and defaultReviewBurst suffice for scrapers whose tokens are
	// rotated: each of them needs one review for a new token.
	defaultReviewRate  = 1
	defaultReviewBurst = 10
)

// Config configures a Gate.
type Config struct {
	Tokens   authenticationclient.TokenReviewInterface
	Accesses authorizationclient.SubjectAccessReviewInterface
	// ReviewRate is the number of unknown requests that are reviewed, a second, over
	// all callers; 1 by default.
	ReviewRate float64
	// ReviewBurst is the number of unknown requests that are reviewed at once; 10 by
	// default.
	ReviewBurst int
	// Clock is the real clock by default.
	Clock clock.PassiveClock
}

// Validate returns an error that names every wrong field.
func (c *Config) Validate() error {
	var errs []error
	if c.Tokens == nil {
		errs = append(errs, errors.New("field Tokens is required"))
	}
	if c.Accesses == nil {
		errs = append(errs, errors.New("field Accesses is required"))
	}
	if c.ReviewRate < 0 {
		errs = append(errs, fmt.Errorf("field ReviewRate must not be negative: %v", c.ReviewRate))
	}
	if c.ReviewBurst < 0 {
		errs = append(errs, fmt.Errorf("field ReviewBurst must not be negative: %d", c.ReviewBurst))
	}
	return errors.Join(errs...)
}

// Gate passes requests whose bearer token the API server authenticates, if the user
// is authorized for the request.
type Gate struct {
	config Config
	// limiter bounds the reviews of unknown requests: any client of the port can send
	// any number of tokens.
	limiter *rate.Limiter
	// verdicts has the HTTP status of requests.
	verdicts *cache.LRUExpireCache
	// known has requests that were allowed. Their reviews are exempt from the limit, so
	// that unknown callers cannot lock out a scraper. The request is part of the key:
	// an authenticated caller cannot use its token for reviews of other requests.
	known *cache.LRUExpireCache
}

// request is the subject of a verdict. The token itself is not kept.
type request struct {
	token      [sha256.Size]byte
	verb, path string
}

// FilterProvider returns a filter with the default limits, for
// metricsserver.Options.FilterProvider.
func FilterProvider(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	authentication, err := authenticationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("creating a client for token reviews: %w", err)
	}
	authorization, err := authorizationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("creating a client for access reviews: %w", err)
	}
	gate, err := New(Config{Tokens: authentication.TokenReviews(), Accesses: authorization.SubjectAccessReviews()})
	if err != nil {
		return nil, err
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) { return gate.Handler(log, next), nil }, nil
}

// New returns a Gate.
func New(config Config) (*Gate, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the authorization of metrics requests: %w", err)
	}
	if config.ReviewRate == 0 {
		config.ReviewRate = defaultReviewRate
	}
	if config.ReviewBurst == 0 {
		config.ReviewBurst = defaultReviewBurst
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	return &Gate{
		config:   config,
		limiter:  rate.NewLimiter(rate.Limit(config.ReviewRate), config.ReviewBurst),
		verdicts: cache.NewLRUExpireCacheWithClock(maxVerdicts, config.Clock),
		known:    cache.NewLRUExpireCacheWithClock(maxVerdicts, config.Clock),
	}, nil
}

// Handler returns a handler that calls next for the requests that pass the gate.
func (g *Gate) Handler(log logr.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict, err := g.verdict(r)
		if err != nil {
			log.Error(err, "authorizing a metrics request")
		}
		if verdict != http.StatusOK {
			http.Error(w, http.StatusText(verdict), verdict)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// verdict returns the HTTP status for a request. The error is a fault of the operator
// or of the API server, not of the caller.
func (g *Gate) verdict(r *http.Request) (int, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, nil
	}
	key := request{sha256.Sum256([]byte(token)), strings.ToLower(r.Method), r.URL.Path}
	if cached, ok := g.verdicts.Get(key); ok {
		return cached.(int), nil
	}
	if _, ok := g.known.Get(key); !ok && !g.limiter.AllowN(g.config.Clock.Now(), 1) {
		return http.StatusTooManyRequests, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	verdict, err := g.review(ctx, token, key)
	if err != nil {
		return http.StatusInternalServerError, err
	}
	if verdict == http.StatusOK {
		g.known.Add(key, nil, knownFor)
		g.verdicts.Add(key, verdict, allowedFor)
	} else {
		g.known.Remove(key)
		g.verdicts.Add(key, verdict, deniedFor)
	}
	return verdict, nil
}

func (g *Gate) review(ctx context.Context, token string, what request) (int, error) {
	who, err := g.config.Tokens.Create(ctx, &authenticationv1.TokenReview{
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
	access, err := g.config.Accesses.Create(ctx, &authorizationv1.SubjectAccessReview{
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

// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/utils/clock"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// authenticatedFor is the lifetime of an accepted token. With the cache of the API
	// server, which is 10 s, a token is refused within 15 s after the deletion of its
	// pod, even without the watch of pods.
	authenticatedFor = 5 * time.Second
	// dispatcherFor is the lifetime of an accepted token, and of the permission, of a
	// dispatcher, whose requests are fenced by no pod.
	dispatcherFor = time.Minute
	// refusedFor is the lifetime of a refused token, and of a refused permission: a user
	// who was just given access should not wait.
	refusedFor = 2 * time.Second
	// maxCached bounds the memory that callers can make the gateway use.
	maxCached = 4096
	// maxReviews bounds the reviews that are sent at a time.
	maxReviews = 32
	// reviewTimeout bounds one request to the API server.
	reviewTimeout = 10 * time.Second

	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
	accountUser  = "system:serviceaccount:"
)

// ErrUnavailable is returned if the API server did not answer: the request is neither
// allowed nor refused.
var ErrUnavailable = errors.New("the API server did not answer")

// Directory has the pods and TaskGroups of the cluster.
type Directory interface {
	// Pod returns the metadata of the pod with a UID; nil if it does not exist.
	Pod(ctx context.Context, name types.NamespacedName, uid types.UID) (*metav1.PartialObjectMetadata, error)
	// Group returns the TaskGroup with a UID; nil if it does not exist.
	Group(ctx context.Context, name types.NamespacedName, uid types.UID) (*v1alpha1.TaskGroup, error)
	// NewestAttempt returns the newest attempt of a TaskGroup that has a pod in the
	// namespace; 0 for none. Labels of pods in other namespaces prove nothing.
	NewestAttempt(namespace string, uid types.UID) (int32, error)
}

// Indexes are the objects that name the inputs of TaskGroups with many arguments.
type Indexes interface {
	// Names reports whether the index at a URI names an object.
	Names(index, uri string) (bool, error)
}

// Config configures a Reviewer.
type Config struct {
	Tokens    authenticationclient.TokenReviewInterface
	Accesses  authorizationclient.SubjectAccessReviewInterface
	Directory Directory
	// Indexes has the indexes of TaskGroups.
	Indexes Indexes
	// Clock is the real clock by default.
	Clock clock.Clock
}

// Validate returns an error that names every missing field.
func (c *Config) Validate() error {
	var errs []error
	for name, isMissing := range map[string]bool{"Tokens": c.Tokens == nil, "Accesses": c.Accesses == nil, "Directory": c.Directory == nil, "Indexes": c.Indexes == nil} {
		if isMissing {
			errs = append(errs, fmt.Errorf("field %s is required", name))
		}
	}
	return errors.Join(errs...)
}

// Reviewer collects the evidence of requests.
type Reviewer struct {
	config  Config
	users   *cache.LRUExpireCache
	allowed *cache.LRUExpireCache
	flights singleflight.Group
	limiter chan struct{}
}

// NewReviewer returns a Reviewer.
func NewReviewer(config Config) (*Reviewer, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the reviewer: %w", err)
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	return &Reviewer{
		config:  config,
		users:   cache.NewLRUExpireCacheWithClock(maxCached, config.Clock),
		allowed: cache.NewLRUExpireCacheWithClock(maxCached, config.Clock),
		limiter: make(chan struct{}, maxReviews),
	}, nil
}

// user is the result of a TokenReview.
type user struct {
	isAuthenticated bool
	info            authenticationv1.UserInfo
}

// tokenKey identifies a token without keeping it in memory.
type tokenKey [sha256.Size]byte

// accessKey identifies a permission of the account of a token.
type accessKey struct {
	token tokenKey
	attributes
}

// attributes are what a permission is about: a verb on TaskGroups in a namespace, or on
// a path of the gateway.
type attributes struct{ namespace, path string }

// Evidence returns the evidence for a request, or an error that matches ErrUnavailable.
func (r *Reviewer) Evidence(ctx context.Context, request Request, token string, caller Caller) (Evidence, error) {
	evidence := Evidence{Caller: caller}
	if token == "" {
		return evidence, nil
	}
	key, validFor := keyOf(token), authenticatedFor
	if caller == Dispatcher {
		// Not the key of pods: their tokens are reviewed again sooner.
		key, validFor = keyOf("dispatcher "+token), dispatcherFor
	}
	found, err := r.review(ctx, key, token, []string{contract.GatewayAudience}, validFor)
	if err != nil || !found.isAuthenticated {
		return evidence, err
	}
	evidence.IsAuthenticated = true
	if caller == Dispatcher {
		evidence.MayCreate, err = r.authorize(ctx, accessKey{key, attributes{namespace: request.Location.Namespace}}, found.info, validFor)
		return evidence, err
	}
	return evidence, r.collectPod(ctx, &evidence, request, found.info)
}

// MayReadMetrics reports whether the account of a token may get /metrics.
func (r *Reviewer) MayReadMetrics(ctx context.Context, token string) (isAuthenticated, isAllowed bool, err error) {
	key := keyOf("metrics " + token)
	found, err := r.review(ctx, key, token, nil, authenticatedFor)
	if err != nil || !found.isAuthenticated {
		return false, false, err
	}
	isAllowed, err = r.authorize(ctx, accessKey{key, attributes{path: "/metrics"}}, found.info, authenticatedFor)
	return true, isAllowed, err
}

func keyOf(text string) tokenKey { return sha256.Sum256([]byte(text)) }

// review returns the user of a token. Requests with one token share a review.
func (r *Reviewer) review(ctx context.Context, key tokenKey, token string, audiences []string, validFor time.Duration) (user, error) {
	if found, ok := r.users.Get(key); ok {
		return found.(user), nil
	}
	found, err := r.once(ctx, string(key[:]), func(ctx context.Context) (any, error) {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}
		answer, err := r.config.Tokens.Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("%w: reviewing a token: %w", ErrUnavailable, err)
		}
		// An authenticator that does not know audiences returns none: its token is one
		// for the API server.
		isFor := len(audiences) == 0 || slices.ContainsFunc(answer.Status.Audiences, func(audience string) bool { return slices.Contains(audiences, audience) })
		found := user{isAuthenticated: answer.Status.Authenticated && isFor, info: answer.Status.User}
		r.users.Add(key, found, lifetime(found.isAuthenticated, validFor))
		return found, nil
	})
	if err != nil {
		return user{}, err
	}
	return found.(user), nil
}

// authorize reports whether the account of a token has a permission.
func (r *Reviewer) authorize(ctx context.Context, key accessKey, info authenticationv1.UserInfo, validFor time.Duration) (bool, error) {
	if allowed, ok := r.allowed.Get(key); ok {
		return allowed.(bool), nil
	}
	allowed, err := r.once(ctx, fmt.Sprintf("%x %s %s", key.token, key.namespace, key.path), func(ctx context.Context) (any, error) {
		answer, err := r.config.Accesses.Create(ctx, accessReview(key.attributes, info), metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("%w: reviewing a permission: %w", ErrUnavailable, err)
		}
		allowed := answer.Status.Allowed && !answer.Status.Denied
		r.allowed.Add(key, allowed, lifetime(allowed, validFor))
		return allowed, nil
	})
	if err != nil {
		return false, err
	}
	return allowed.(bool), nil
}

// once joins equal reviews, and bounds their number and their time. A review does not
// end with the request that began it: others may wait for it.
func (r *Reviewer) once(ctx context.Context, key string, review func(context.Context) (any, error)) (any, error) {
	flight := r.flights.DoChan(key, func() (any, error) {
		r.limiter <- struct{}{}
		defer func() { <-r.limiter }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		return review(ctx)
	})
	select {
	case result := <-flight:
		return result.Val, result.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

func lifetime(isGranted bool, validFor time.Duration) time.Duration {
	if isGranted {
		return validFor
	}
	return refusedFor
}

func accessReview(a attributes, info authenticationv1.UserInfo) *authorizationv1.SubjectAccessReview {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: info.Username, UID: info.UID, Groups: info.Groups, Extra: map[string]authorizationv1.ExtraValue{},
	}}
	for name, values := range info.Extra {
		review.Spec.Extra[name] = authorizationv1.ExtraValue(values)
	}
	if a.path != "" {
		review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Verb: "get", Path: a.path}
		return review
	}
	review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace: a.namespace, Verb: "create", Group: v1alpha1.GroupName, Version: v1alpha1.GroupVersion.Version, Resource: "taskgroups",
	}
	return review
}

// collectPod adds what is known of the pod that a token is bound to.
func (r *Reviewer) collectPod(ctx context.Context, evidence *Evidence, request Request, info authenticationv1.UserInfo) error {
	name, uid, ok := boundPod(info)
	if !ok {
		return nil
	}
	evidence.Pod.Namespace = name.Namespace
	pod, err := r.config.Directory.Pod(ctx, name, uid)
	if err != nil {
		return fmt.Errorf("%w: reading a pod: %w", ErrUnavailable, err)
	}
	if pod == nil {
		evidence.Pod.IsDeleted = true
		return nil
	}
	if evidence.Pod.UID, evidence.Pod.Attempt = pod.Labels[v1alpha1.UIDLabel], attemptOf(pod); evidence.Pod.UID == "" || evidence.Pod.Attempt == 0 {
		return nil
	}
	return r.collectGroup(ctx, evidence, request, types.NamespacedName{Namespace: name.Namespace, Name: pod.Annotations[v1alpha1.NameAnnotation]})
}

func (r *Reviewer) collectGroup(ctx context.Context, evidence *Evidence, request Request, name types.NamespacedName) error {
	uid := types.UID(evidence.Pod.UID)
	group, err := r.config.Directory.Group(ctx, name, uid)
	if err != nil {
		return fmt.Errorf("%w: reading a TaskGroup: %w", ErrUnavailable, err)
	}
	if group == nil || group.Namespace != name.Namespace {
		return nil
	}
	newest, err := r.config.Directory.NewestAttempt(name.Namespace, uid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	evidence.Group = &GroupEvidence{
		IsFinished:    group.Status.IsFinished(),
		NewestAttempt: max(newest, group.Status.Attempt),
		IsNamed:       names(group, request.Location.URI()),
	}
	if index := indexOf(group); index != "" && !request.IsWrite && !evidence.Group.IsNamed {
		evidence.Group.IsNamed, err = r.config.Indexes.Names(index, request.Location.URI())
	}
	return err
}

// boundPod returns the pod that a token of a service account is bound to.
func boundPod(info authenticationv1.UserInfo) (types.NamespacedName, types.UID, bool) {
	names, uids := info.Extra[extraPodName], info.Extra[extraPodUID]
	account, isAccount := strings.CutPrefix(info.Username, accountUser)
	namespace, _, hasName := strings.Cut(account, ":")
	if !isAccount || !hasName || len(names) != 1 || len(uids) != 1 || uids[0] == "" {
		return types.NamespacedName{}, "", false
	}
	return types.NamespacedName{Namespace: namespace, Name: names[0]}, types.UID(uids[0]), true
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// tokenSeconds is for how long a token is requested. The API server may grant less.
	tokenSeconds = 3600
	// renewAfter is when the next one is requested, by a clock that is never set.
	renewAfter = tokenSeconds * time.Second * 4 / 5
	// leastAge is the age at which a refused token is replaced. A younger one is not
	// refused because of its age.
	leastAge = 10 * time.Second

	// executorRole is what the service account of a dispatcher may do (config/rbac).
	executorRole = "taskgroup-executor"
)

// AddToScheme registers the kinds that are requested.
func AddToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.ServiceAccount{})
	scheme.AddKnownTypes(authenticationv1.SchemeGroupVersion, &authenticationv1.TokenRequest{})
	scheme.AddKnownTypes(rbacv1.SchemeGroupVersion, &rbacv1.RoleBinding{})
	metav1.AddToGroupVersion(scheme, authenticationv1.SchemeGroupVersion)
	metav1.AddToGroupVersion(scheme, rbacv1.SchemeGroupVersion)
}

// AddToMapper maps the kinds that are requested.
func AddToMapper(mapper *meta.DefaultRESTMapper) {
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ServiceAccount"), meta.RESTScopeNamespace)
	mapper.Add(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"), meta.RESTScopeNamespace)
	mapper.Add(rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), meta.RESTScopeNamespace)
}

// tokens are the tokens of a service account for the gateway.
type tokens struct {
	client             client.Client
	namespace, account string

	mu      sync.Mutex
	current string
	since   time.Time
}

// authenticate adds the current token to a request.
func (t *tokens) authenticate(request *http.Request) error {
	token, err := t.get(request.Context())
	if err != nil {
		return err
	}
	request.Header.Set(contract.GatewayTokenHeader, token)
	return nil
}

func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != "" && time.Since(t.since) < renewAfter {
		return t.current, nil
	}
	since := time.Now()
	token, err := t.request(ctx)
	if apierrors.IsNotFound(err) {
		if err = t.createAccount(ctx); err == nil {
			token, err = t.request(ctx)
		}
	}
	if err != nil {
		return "", t.explain(err)
	}
	t.current, t.since = token, since
	return token, nil
}

func (t *tokens) request(ctx context.Context) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: t.account}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{contract.GatewayAudience}, ExpirationSeconds: new(int64(tokenSeconds)),
	}}
	if err := t.client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", err
	}
	return request.Status.Token, nil
}

// createAccount creates the account of a namespace in which the gateway was not used
// yet. Users without that permission get an explanation; see explain.
func (t *tokens) createAccount(ctx context.Context) error {
	named := metav1.ObjectMeta{Namespace: t.namespace, Name: t.account}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: named,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: executorRole},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: t.namespace, Name: t.account}},
	}
	for _, object := range []client.Object{binding, &corev1.ServiceAccount{ObjectMeta: named}} {
		if err := t.client.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// explain reports what to do about an error that does not pass by itself.
func (t *tokens) explain(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: requesting a token of the service account %s/%s: %w; ask an administrator to apply config/dispatcher to the namespace %s (docs/gateway.md)",
			ErrForbidden, t.namespace, t.account, err, t.namespace)
	}
	return store.Transient(fmt.Errorf("requesting a token of the service account %s/%s: %w", t.namespace, t.account, err))
}

// discard drops a token that was refused. It reports whether another one may be accepted.
func (t *tokens) discard(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != token {
		return true
	}
	if time.Since(t.since) < leastAge {
		return false
	}
	t.current = ""
	return true
}

var errTokenRefused = errors.New("the asset gateway refused a token that may have expired")

// renewing replaces a token that the gateway refuses: the API server may have granted a
// shorter time than requested.
type renewing struct {
	next   http.RoundTripper
	tokens *tokens
}

// RoundTrip implements http.RoundTripper.
func (r *renewing) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusUnauthorized || !r.tokens.discard(request.Header.Get(contract.GatewayTokenHeader)) {
		return response, err
	}
	_ = response.Body.Close()
	return nil, store.Transient(errTokenRefused)
}

// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

const (
	// DefaultService is the Service of the gateway that config/gateway installs, as
	// namespace/name.
	DefaultService = "taskgroup-system/taskgroup-gateway"
	// DefaultAccount is the service account whose tokens dispatchers use.
	DefaultAccount = "taskgroup-dispatcher"

	// servicePort is the name of the gateway's port.
	servicePort = "https"
	// maxStatus bounds the body of a response that is an error.
	maxStatus = 64 << 10
)

var (
	// ErrNone is returned if the cluster has no gateway.
	ErrNone = errors.New("the cluster has no asset gateway")
	// ErrForbidden is returned if the caller may not use the gateway.
	ErrForbidden = errors.New("not permitted to use the asset gateway")

	errUnauthenticated = errors.New("the token was refused")
)

// Config is how a gateway is reached.
type Config struct {
	// API is the configuration of a client for the API server.
	API *rest.Config
	// Client requests tokens; its scheme has those of AddToScheme.
	Client client.Client
	// Namespace is the namespace of the objects.
	Namespace string
	// Address is the Service of the gateway as namespace/name, which is reached through
	// the API server, or an https URL; DefaultService if empty.
	Address string
	// Account is the service account whose tokens are sent; DefaultAccount if empty.
	Account string
}

// Gateway is the gateway of a cluster for the objects of a namespace.
type Gateway struct {
	config Config
	url    string
	http   *http.Client
	tokens *tokens

	prefetcher *prefetcher
}

// New returns a Gateway. It makes no request.
func New(config Config) (*Gateway, error) {
	config.Address, config.Account = cmp.Or(config.Address, DefaultService), cmp.Or(config.Account, DefaultAccount)
	g := &Gateway{config: config, prefetcher: newPrefetcher(), tokens: &tokens{client: config.Client, namespace: config.Namespace, account: config.Account}}
	if strings.HasPrefix(config.Address, "https://") {
		g.url, g.http = strings.TrimRight(config.Address, "/"), transport.FixedClient()
		return g, nil
	}
	namespace, name, ok := strings.Cut(config.Address, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("the gateway %q is neither namespace/name of a Service nor an https URL", config.Address)
	}
	server, _, err := rest.DefaultServerUrlFor(config.API)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the API server: %w", err)
	}
	g.url = strings.TrimRight(server.String(), "/") + "/api/v1/namespaces/" + namespace + "/services/https:" + name + ":" + servicePort + "/proxy"
	if g.http, err = rest.HTTPClientFor(config.API); err != nil {
		return nil, fmt.Errorf("making a client for the API server: %w", err)
	}
	g.http.Timeout = 0
	g.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return g, nil
}

// Assets is where functions and inputs are, as the value of an executor's option.
func (g *Gateway) Assets() string { return contract.GatewayScheme + "://" + g.config.Namespace }

// Outputs is where results are, as the value of spec.assets.outputs.
func (g *Gateway) Outputs() string { return contract.GatewayOutputs(g.config.Namespace) }

// Backend returns the store of the gateway's objects.
func (g *Gateway) Backend() store.Backend { return &prefetching{g.store(), g.prefetcher} }

func (g *Gateway) store() *gateway.Store {
	return &gateway.Store{Config: gateway.Config{
		URL:          g.url,
		Client:       &http.Client{Transport: &renewing{next: g.http.Transport, tokens: g.tokens}, CheckRedirect: g.http.CheckRedirect},
		Authenticate: g.tokens.authenticate,
	}}
}

// Check requests an object that cannot exist. It returns ErrNone and ErrForbidden, and
// other errors if the gateway cannot be reached now. The first request has no token: a user
// of a cluster without a gateway may not be permitted to request one.
func (g *Gateway) Check(ctx context.Context) error {
	if err := g.probe(ctx, func(*http.Request) error { return nil }); !errors.Is(err, errUnauthenticated) {
		return err
	}
	return g.probe(ctx, g.tokens.authenticate)
}

// probe requests an object that cannot exist.
func (g *Gateway) probe(ctx context.Context, authenticate func(*http.Request) error) error {
	path, err := contract.GatewayPath(contract.GatewayContentURI(g.config.Namespace, strings.Repeat("0", 64)))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+path, nil)
	if err != nil {
		return err
	}
	if err := authenticate(request); err != nil {
		return err
	}
	response, err := g.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	if err != nil {
		return err
	}
	return g.verdict(response.StatusCode, raw)
}

// verdict distinguishes responses of the gateway from those of the API server, which are
// Status objects.
func (g *Gateway) verdict(code int, raw []byte) error {
	var refused contract.GatewayError
	if err := json.Unmarshal(raw, &refused); err == nil && refused.Reason != "" && !isStatus(raw) {
		switch {
		case refused.Reason == contract.GatewayNotFound:
			return nil
		case refused.Reason == contract.GatewayUnauthenticated:
			return fmt.Errorf("%w: %w: %s", ErrForbidden, errUnauthenticated, refused.Message)
		case code == http.StatusForbidden:
			return fmt.Errorf("%w: %s", ErrForbidden, refused.Message)
		}
		return fmt.Errorf("the asset gateway: %s: %s", refused.Reason, refused.Message)
	}
	switch code {
	case http.StatusOK:
		return nil
	case http.StatusNotFound:
		return fmt.Errorf("%w: there is no %s", ErrNone, g.config.Address)
	case http.StatusForbidden:
		return fmt.Errorf("%w: connecting to it: %s", ErrForbidden, messageOf(raw))
	}
	return fmt.Errorf("connecting to the asset gateway: %d: %s", code, messageOf(raw))
}

func isStatus(raw []byte) bool {
	var kind struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal(raw, &kind) == nil && kind.Kind == "Status"
}

func messageOf(raw []byte) string {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &status) == nil && status.Message != "" {
		return status.Message
	}
	return strings.TrimSpace(string(raw))
}

// IsUnavailable reports whether an error of Check may pass by itself.
func IsUnavailable(err error) bool {
	return err != nil && !errors.Is(err, ErrNone) && !errors.Is(err, ErrForbidden) && !apierrors.IsForbidden(err)
}

// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"k8s.io/client-go/rest"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// transport sends requests with credentials that can be renewed: clients and watches
// outlive the token that they began with.
type transport struct {
	current atomic.Pointer[http.RoundTripper]
}

// newTransport returns a transport, and the configuration of a client that uses it.
func newTransport(config *rest.Config) (*transport, *rest.Config, error) {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reading the kubeconfig: %w", executor.ErrConfiguration, err)
	}
	t := &transport{}
	if err := t.renew(config); err != nil {
		return nil, nil, err
	}
	return t, &rest.Config{Host: server.String(), Transport: t, QPS: config.QPS, Timeout: config.Timeout, WarningHandler: config.WarningHandler}, nil
}

// renew makes all later requests use the credentials of a configuration.
func (t *transport) renew(config *rest.Config) error {
	renewed, err := rest.TransportFor(config)
	if err != nil {
		return fmt.Errorf("%w: reading the kubeconfig: %w", executor.ErrConfiguration, err)
	}
	t.current.Store(&renewed)
	return nil
}

// RoundTrip sends a request.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	return (*t.current.Load()).RoundTrip(request)
}

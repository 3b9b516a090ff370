// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
)

const (
	dnsPort = "53"
	// queryTimeout is short: a server that is up answers within milliseconds.
	queryTimeout = time.Second
	// apiServerName is a Service of every cluster, which resolves once CoreDNS has its caches.
	apiServerName = "kubernetes.default.svc.cluster.local."
)

// dnsIsReady returns nil when pods can resolve the names of Services.
func (c Config) dnsIsReady(ctx context.Context) error {
	return resolvesServices(ctx, net.JoinHostPort(c.Block.Node().String(), dnsPort))
}

// resolvesServices returns nil when the DNS server at address resolves the API server's Service.
func resolvesServices(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	resolver := net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	found, err := resolver.LookupHost(ctx, apiServerName)
	if err != nil {
		return fmt.Errorf("querying the DNS of the cluster: %w", err)
	}
	if !slices.Contains(found, network.FirstService) {
		return fmt.Errorf("querying the DNS of the cluster: %s has the addresses %v, want %s", apiServerName, found, network.FirstService)
	}
	return nil
}

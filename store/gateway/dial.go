// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"slices"
	"strings"
)

// resolverFile is the configuration of the resolver; the kubelet writes that of pods.
const resolverFile = "/etc/resolv.conf"

// dialService connects to an address host:port. The name of a Service, such as
// gateway.namespace.svc, has so few dots that a resolver of a pod tries it with each of its
// search domains, one after another, until the last one exists (ndots:5). The absolute name
// takes one query.
func dialService(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if absolute := absoluteName(host); absolute != "" {
		if connection, err := dialer.DialContext(ctx, network, net.JoinHostPort(absolute, port)); err == nil {
			return connection, nil
		}
	}
	return dialer.DialContext(ctx, network, address)
}

// absoluteName returns the absolute name of a Service; empty if it is unknown.
func absoluteName(host string) string {
	if !strings.HasSuffix(host, ".svc") {
		return ""
	}
	file, err := os.Open(resolverFile)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	if domain := clusterDomain(file); domain != "" {
		return host + "." + domain + "."
	}
	return ""
}

// clusterDomain returns the domain of a cluster, such as cluster.local, from the resolver
// configuration of a pod: the search domain of which the Services' domain is one, too
// (kubelet, network/dns, generateSearchesForDNSClusterFirst). It is empty if there is none.
func clusterDomain(configuration io.Reader) string {
	var domains []string
	lines := bufio.NewScanner(configuration)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "search" {
			// The last line counts (resolv.conf(5)).
			domains = fields[1:]
		}
	}
	// Backwards: in the namespace svc, the domain of all Services is between the others.
	for _, domain := range slices.Backward(domains) {
		domain = strings.TrimSuffix(domain, ".")
		isServices := func(other string) bool { return strings.TrimSuffix(other, ".") == "svc."+domain }
		if slices.ContainsFunc(domains, isServices) {
			return domain
		}
	}
	return ""
}

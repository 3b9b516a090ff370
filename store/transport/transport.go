// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	maxRedirects = 5
	dialTimeout  = 10 * time.Second
	// responseTimeout is from the last byte of a request to the header of the
	// response: a store may have to put many parts together.
	responseTimeout = 2 * time.Minute
)

// maxConnections bounds the connections to one host for reads, and those for writes.
// Further requests wait.
var maxConnections = 8

// SetMaxConnections replaces the bound of the connections to one host, by default the bound of a
// pod. A server that passes on the transfers of many pods calls it before its first request.
func SetMaxConnections(n int) { maxConnections = n }

// CredentialTimeout bounds one request to a service that provides credentials, which has
// little to do. One that hangs is retried.
const CredentialTimeout = 15 * time.Second

var (
	// ErrRedirect is a redirect that is not followed.
	ErrRedirect = errors.New("redirect refused")
	// ErrLinkLocal is an address of the machine, such as the metadata server of a
	// cloud.
	ErrLinkLocal = errors.New("link-local addresses are no stores")
)

// Client returns a client for the URLs of users.
func Client() *http.Client {
	return &http.Client{Transport: newPools(refuseLinkLocal), CheckRedirect: checkRedirect}
}

// FixedClient returns a client for a store whose address is configured. It follows no
// redirect.
func FixedClient() *http.Client {
	return &http.Client{
		Transport:     newPools(nil),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ConfigureForCredentials is Configure for requests to services that provide credentials.
func ConfigureForCredentials(t *http.Transport) {
	Configure(t)
	t.ResponseHeaderTimeout = CredentialTimeout
}

// LocalClient returns a client for a service of the node, such as the metadata server of a
// cloud: it uses no proxy.
func LocalClient() *http.Client {
	t := newTransport(nil)
	t.Proxy, t.ResponseHeaderTimeout = nil, CredentialTimeout
	return &http.Client{Transport: t}
}

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// PrivateClient returns a client for a server whose authorities are not those of the
// system, or nil for these. They are read for each new connection, so that they can be
// replaced while the client is used. It uses no proxy and follows no redirect. Short
// requests share a connection.
//
// dial connects to the address host:port of a URL; nil dials it as it is.
func PrivateClient(roots func() (*x509.CertPool, error), dial DialFunc) *http.Client {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t := newTransport(nil)
	t.Proxy, t.MaxConnsPerHost = nil, 0
	t.MaxIdleConnsPerHost = 2*maxConnections + 1
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		trusted, err := roots()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		plain, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(address)
		encrypted := tls.Client(plain, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted, ServerName: host})
		if err := encrypted.HandshakeContext(ctx); err != nil {
			_ = plain.Close()
			return nil, err
		}
		return encrypted, nil
	}
	client := FixedClient()
	client.Transport = newEconomical(t)
	return client
}

// pools keep the connections of reads and of writes apart: an upload, such as the
// commit of results, must not wait until the downloads of later tasks are finished.
type pools struct{ reads, writes http.RoundTripper }

func newPools(control func(ctx context.Context, network, address string, _ syscall.RawConn) error) pools {
	return pools{reads: newTransport(control), writes: newTransport(control)}
}

// RoundTrip implements http.RoundTripper.
func (p pools) RoundTrip(r *http.Request) (*http.Response, error) {
	if IsRead(r) {
		return p.reads.RoundTrip(r)
	}
	return p.writes.RoundTrip(r)
}

// IsRead reports whether a request belongs to the pool of reads.
func IsRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

func newTransport(control func(ctx context.Context, network, address string, _ syscall.RawConn) error) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, ControlContext: control}
	t := &http.Transport{
		DialContext:           dialer.DialContext,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	Configure(t)
	return t
}

// Configure sets the options of a transport that a library creates.
func Configure(t *http.Transport) {
	t.Proxy = http.ProxyFromEnvironment
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = maxConnections, maxConnections
	t.IdleConnTimeout = time.Minute
	t.TLSHandshakeTimeout = dialTimeout
	t.ResponseHeaderTimeout = responseTimeout
	// Objects are fetched as they are stored.
	t.DisableCompression = true
	// One connection per transfer is faster than many streams on one, and needs
	// less memory.
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.WriteBufferSize = 64 << 10
}

// refuseLinkLocal checks the address after its name was resolved, so that no name and no
// redirect leads there.
func refuseLinkLocal(_ context.Context, _, address string, _ syscall.RawConn) error {
	if host, err := netip.ParseAddrPort(address); err == nil && host.Addr().Unmap().IsLinkLocalUnicast() {
		return ErrLinkLocal
	}
	return nil
}

// checkRedirect follows to the same or a safer scheme.
func checkRedirect(next *http.Request, before []*http.Request) error {
	// It has the query of the previous URL, with its signature.
	next.Header.Del("Referer")
	from, to := before[len(before)-1].URL, next.URL
	// net/http keeps credentials for subdomains and for other ports of a host.
	if to.Host != before[0].URL.Host {
		next.Header.Del("Authorization")
	}
	switch {
	case len(before) > maxRedirects:
		return fmt.Errorf("%w: more than %d in a row", ErrRedirect, maxRedirects)
	case to.Scheme != from.Scheme && (from.Scheme != "http" || to.Scheme != "https"):
		return fmt.Errorf("%w: from %s to %s", ErrRedirect, from.Scheme, to.Scheme)
	case next.Method != before[0].Method:
		// A 302 makes a GET of a PUT: it would succeed and write nothing.
		return fmt.Errorf("%w: it makes a %s of a %s", ErrRedirect, next.Method, before[0].Method)
	}
	return nil
}

// Bare removes the method and the URL from an error of net/http.
func Bare(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

package transport

import (
	"context"
	"crypto/tls"
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
	// maxConnections bounds those to one host; others wait.
	maxConnections = 8
	maxRedirects   = 5
	dialTimeout    = 10 * time.Second
	// answerTimeout is from the last byte of a request to the first of the answer:
	// a store may have to put many parts together.
	answerTimeout = 2 * time.Minute
)

var (
	// ErrRedirect is a redirect that is not followed.
	ErrRedirect = errors.New("redirect refused")
	// ErrLinkLocal is an address that belongs to the machine and to no store, such
	// as that of a cloud's metadata.
	ErrLinkLocal = errors.New("link-local addresses are no stores")
)

// Client is for the URLs of users.
func Client() *http.Client {
	return &http.Client{Transport: newTransport(refuseLinkLocal), CheckRedirect: checkRedirect}
}

// FixedClient is for a store whose address is configured. It follows nothing.
func FixedClient() *http.Client {
	return &http.Client{
		Transport:     newTransport(nil),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

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

// Configure is for a library that makes its transport itself.
func Configure(t *http.Transport) {
	t.Proxy = http.ProxyFromEnvironment
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = maxConnections, maxConnections
	t.IdleConnTimeout = time.Minute
	t.TLSHandshakeTimeout = dialTimeout
	t.ResponseHeaderTimeout = answerTimeout
	// Objects are fetched as they are stored.
	t.DisableCompression = true
	// One connection per transfer is faster than many streams on one, and needs
	// less memory.
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.WriteBufferSize = 64 << 10
}

// refuseLinkLocal sees the address after its name was resolved, so that no name
// and no redirect leads there.
func refuseLinkLocal(_ context.Context, _, address string, _ syscall.RawConn) error {
	if host, err := netip.ParseAddrPort(address); err == nil && host.Addr().Unmap().IsLinkLocalUnicast() {
		return ErrLinkLocal
	}
	return nil
}

// checkRedirect follows to the same or a safer scheme.
func checkRedirect(next *http.Request, before []*http.Request) error {
	// It would tell the next host the query of this one, with its signature.
	next.Header.Del("Referer")
	from, to := before[len(before)-1].URL, next.URL
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

// Bare drops the method and the URL from an error of net/http.
func Bare(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Fault is what becomes of one call of the operator's.
type Fault string

// What befalls a call; those that die or are cancelled take the operator with them.
const (
	// DieBefore: the operator dies before the API server has the call.
	DieBefore Fault = "die before"
	// DieAfter: it dies after the API server did it, before it receives the response.
	DieAfter Fault = "die after"
	// Cancelled: it is sent SIGTERM after the API server did it, before it receives the response, which
	// cancels the context of the call.
	Cancelled Fault = "context cancelled"
	// Conflict is answered with 409, and not done.
	Conflict Fault = "409"
	// Throttled is answered with 429 and Retry-After, and not done.
	Throttled Fault = "429"
	// Broken is answered with 500, and not done.
	Broken Fault = "500"
	// Lost is answered with 504, and done.
	Lost Fault = "504"
)

// Overtaken is passed on once something else was done: what a test gives to Break.
// It is no fault of the way.
const Overtaken Fault = "overtaken"

// Faults are all that may befall a call on its way.
var Faults = []Fault{DieBefore, DieAfter, Cancelled, Conflict, Throttled, Broken, Lost}

// Ends reports whether the operator terminates with it.
func (f Fault) Ends() bool { return f == DieBefore || f == DieAfter || f == Cancelled }

// End ends the operator as the fault does.
func (f Fault) End(o *Operator) {
	if f == Cancelled {
		o.Stop()
		return
	}
	o.Kill()
}

// Done reports whether the API server does what was requested.
func (f Fault) Done() bool { return f == DieAfter || f == Cancelled || f == Lost }

// Proxy stands between operators and the API server. It counts their calls that
// change something, in each namespace by itself, and lets some of them fail.
type Proxy struct {
	// URL is where operators find it, and Certificate what they know it by: a client
	// sends its token to no other server.
	URL         string
	Certificate []byte
	// Ahead is by how much the server's clock seems to be ahead, in the Date of
	// what it answers. It is set before an operator is started.
	Ahead time.Duration

	server  *httptest.Server
	forward *httputil.ReverseProxy
	target  *url.URL
	direct  http.RoundTripper

	freezer freezer
	down    atomic.Bool

	mu    sync.Mutex
	spots map[string]*spot
}

// spot is what is known of a namespace.
type spot struct {
	calls  []string
	breaks map[int]breakage
	hits   int
}

// breakage is what becomes of one call.
type breakage struct {
	fault Fault
	do    func()
}

// StartProxy listens on loopback.
func (c *Cluster) StartProxy() (*Proxy, error) {
	target, err := url.Parse(c.Config.Host)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	// The caller's token is passed on: it is a request of the operator, not the administrator.
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(c.Config))
	if err != nil {
		return nil, fmt.Errorf("reading the API server's certificate: %w", err)
	}
	p := &Proxy{target: target, direct: transport, spots: map[string]*spot{}}
	p.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ModifyResponse: func(answer *http.Response) error {
			if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
				answer.Header.Set("Date", date.Add(p.Ahead).Format(http.TimeFormat))
			}
			p.freezer.wrap(answer)
			return nil
		},
		// An operator that dies breaks its calls off; that is no news.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	p.URL = p.server.URL
	p.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	return p, nil
}

// Stop ends all connections.
func (p *Proxy) Stop() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Break lets the n-th call, from 1, in a namespace fail, the ones that failed
// counted; do ends the operator where the fault does, and comes first where the
// call is overtaken. It may be given several calls of a namespace.
func (p *Proxy) Break(namespace string, n int, fault Fault, do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spot(namespace).breaks[n] = breakage{fault: fault, do: do}
}

// Calls are those in a namespace so far, and how many of them were to fail.
func (p *Proxy) Calls(namespace string) (calls []string, hits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.spot(namespace)
	return slices.Clone(s.calls), s.hits
}

// spot is what is known of a namespace. The lock is held.
func (p *Proxy) spot(namespace string) *spot {
	if p.spots[namespace] == nil {
		p.spots[namespace] = &spot{breaks: map[int]breakage{}}
	}
	return p.spots[namespace]
}

// faultOf counts a call and reports what becomes of it.
func (p *Proxy) faultOf(r *http.Request) breakage {
	parts := strings.Split(r.URL.Path, "/")
	i := slices.Index(parts, "namespaces")
	changes := slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, r.Method)
	if !changes || i < 0 || i+2 >= len(parts) || slices.Contains([]string{"leases", "events"}, parts[i+2]) {
		return breakage{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.spot(parts[i+1])
	s.calls = append(s.calls, r.Method+" "+strings.Join(parts[i+2:], "/"))
	b, breaks := s.breaks[len(s.calls)]
	if breaks {
		s.hits++
	}
	return b
}

// Disconnect breaks all connections, and every new request without an answer, until
// the returned function is called: an outage of the API server.
func (p *Proxy) Disconnect() (reconnect func()) {
	p.down.Store(true)
	p.server.CloseClientConnections()
	return func() { p.down.Store(false) }
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if p.down.Load() {
		panic(http.ErrAbortHandler)
	}
	b := p.faultOf(r)
	switch b.fault {
	case DieBefore:
		b.do()
		panic(http.ErrAbortHandler)
	case DieAfter, Cancelled, Lost:
		if err := p.do(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if b.fault.Ends() {
			b.do()
			panic(http.ErrAbortHandler)
		}
		refuse(w, http.StatusGatewayTimeout, metav1.StatusReasonTimeout)
	case Conflict:
		refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
	case Throttled:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
	case Broken:
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case Overtaken:
		b.do()
		fallthrough
	default:
		p.forward.ServeHTTP(w, r)
	}
}

// do forwards a request to the API server, and keeps the response from the client.
func (p *Proxy) do(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("reading a call: %w", err)
	}
	// Not the caller's context: the call is to be done even if the caller no longer exists.
	call := r.Clone(context.WithoutCancel(r.Context()))
	call.URL.Scheme, call.URL.Host, call.Host, call.RequestURI = p.target.Scheme, p.target.Host, "", ""
	call.Body = io.NopCloser(bytes.NewReader(body))
	answer, err := p.direct.RoundTrip(call)
	if err != nil {
		return fmt.Errorf("passing a call on: %w", err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "the test said so",
	})
}

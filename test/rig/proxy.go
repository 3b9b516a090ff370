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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Fault is what becomes of one call of the operator's.
type Fault string

// A call that dies takes the operator with it.
const (
	// DieBefore: the operator dies before the API server has the call.
	DieBefore Fault = "die before"
	// DieAfter: it dies after the API server did it, before it knows.
	DieAfter Fault = "die after"
	// Conflict is answered with 409, and not done.
	Conflict Fault = "409"
	// Throttled is answered with 429 and Retry-After, and not done.
	Throttled Fault = "429"
	// Broken is answered with 500, and not done.
	Broken Fault = "500"
	// Lost is answered with 504, and done.
	Lost Fault = "504"
)

// Faults are all of them.
var Faults = []Fault{DieBefore, DieAfter, Conflict, Throttled, Broken, Lost}

// Kills says whether the operator dies of it.
func (f Fault) Kills() bool { return f == DieBefore || f == DieAfter }

// Proxy stands between operators and the API server. It counts their calls that
// change something, in each namespace by itself, and lets one of them fail.
type Proxy struct {
	// URL is where operators find it, and Certificate what they know it by: a client
	// sends its token to nobody else.
	URL         string
	Certificate []byte
	// Ahead is by how much the server's clock seems to be ahead, in the Date of
	// what it answers. It is set before an operator is started.
	Ahead time.Duration

	server  *httptest.Server
	forward *httputil.ReverseProxy
	target  *url.URL
	direct  http.RoundTripper

	mu    sync.Mutex
	spots map[string]*spot
}

// spot is what is known of a namespace.
type spot struct {
	calls []string
	at    int
	fault Fault
	kill  func()
	hit   bool
}

// StartProxy listens on loopback.
func (c *Cluster) StartProxy() (*Proxy, error) {
	target, err := url.Parse(c.Config.Host)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	// The caller's token is passed on: it is the operator who asks, not the administrator.
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

// Break lets the n-th call, from 1, in a namespace fail; kill ends the operator.
func (p *Proxy) Break(namespace string, n int, fault Fault, kill func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spots[namespace] = &spot{at: n, fault: fault, kill: kill}
}

// Calls are those in a namespace so far, and whether one of them failed.
func (p *Proxy) Calls(namespace string) (calls []string, hit bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.spots[namespace]; s != nil {
		return slices.Clone(s.calls), s.hit
	}
	return nil, false
}

// faultOf counts a call and says what becomes of it.
func (p *Proxy) faultOf(r *http.Request) (Fault, func()) {
	parts := strings.Split(r.URL.Path, "/")
	i := slices.Index(parts, "namespaces")
	changes := slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, r.Method)
	if !changes || i < 0 || i+2 >= len(parts) || slices.Contains([]string{"leases", "events"}, parts[i+2]) {
		return "", nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.spots[parts[i+1]]
	if s == nil {
		s = &spot{}
		p.spots[parts[i+1]] = s
	}
	s.calls = append(s.calls, r.Method+" "+strings.Join(parts[i+2:], "/"))
	if len(s.calls) != s.at {
		return "", nil
	}
	s.hit = true
	return s.fault, s.kill
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	fault, kill := p.faultOf(r)
	switch fault {
	case DieBefore:
		kill()
		panic(http.ErrAbortHandler)
	case DieAfter, Lost:
		if err := p.do(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if fault == DieAfter {
			kill()
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
	default:
		p.forward.ServeHTTP(w, r)
	}
}

// do has the API server do what was asked, and keeps the answer from who asked.
func (p *Proxy) do(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("reading a call: %w", err)
	}
	// Not the caller's context: the call is to be done even if the caller is gone.
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

// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/access"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

const (
	uid     = "7b0d3c4e-1f53-4d0e-9f0c-5a3f5f1f2c11"
	results = "/v1/namespaces/a/groups/" + uid + "/a1/"
)

var bearer = http.Header{"Authorization": {"Bearer pod"}}

// reviewer accepts the token "pod", of a pod of attempt 1, "pod-" and the UID of another
// group, and the token "dispatcher".
type reviewer struct {
	newest atomic.Int32
	isDown atomic.Bool
}

func (r *reviewer) Evidence(_ context.Context, request access.Request, token string, caller access.Caller) (access.Evidence, error) {
	if r.isDown.Load() {
		return access.Evidence{}, access.ErrUnavailable
	}
	group, isOther := strings.CutPrefix(token, "pod-")
	if !isOther {
		group = uid
	}
	return access.Evidence{
		Caller:          caller,
		IsAuthenticated: token == "pod" || isOther || token == "dispatcher",
		Pod:             access.PodEvidence{Namespace: "a", UID: group, Attempt: 1},
		Group:           &access.GroupEvidence{NewestAttempt: max(1, r.newest.Load()), IsNamed: request.Location.IsContent()},
		MayCreate:       token == "dispatcher" && request.Location.Namespace == "a",
	}, nil
}

func (r *reviewer) MayReadMetrics(_ context.Context, token string) (isAuthenticated, isAllowed bool, err error) {
	if r.isDown.Load() {
		return false, false, access.ErrUnavailable
	}
	return token != "invalid", token == "prometheus", nil
}

// gateway is a running handler.
type gateway struct {
	*httptest.Server

	reviewer *reviewer
	registry *prometheus.Registry
}

func start(t *testing.T, volumeConfig volume.Config, config server.Config) *gateway {
	t.Helper()
	objects, err := volume.Open(volumeConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = objects.Close() })
	return startWith(t, objects, config)
}

func startWith(t *testing.T, objects server.Objects, config server.Config) *gateway {
	t.Helper()
	g := &gateway{reviewer: &reviewer{}, registry: prometheus.NewRegistry()}
	config.Objects, config.Reviewer, config.Registry, config.Log = objects, g.reviewer, g.registry, slog.New(slog.DiscardHandler)
	handler, err := server.NewHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	g.Server = httptest.NewServer(handler)
	t.Cleanup(g.Close)
	return g
}

// response is what the tests compare of a response.
type response struct {
	Code   int
	Reason contract.GatewayReason
	Body   string
	Etag   string
}

// do sends a request whose path is not encoded.
func (g *gateway) do(t *testing.T, method, path, body string, header http.Header) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque, request.Header = path, header
	answer, err := g.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := response{Code: answer.StatusCode, Body: string(raw), Etag: answer.Header.Get("Etag"), Reason: contract.GatewayReason(answer.Header.Get("Taskgroup-Gateway-Reason"))}
	if got.Reason == "" {
		return got
	}
	var refused contract.GatewayError
	if method != http.MethodHead && (json.Unmarshal(raw, &refused) != nil || refused.Reason != got.Reason || refused.Message == "") {
		t.Errorf("%s %s: the body %q has not the reason %s", method, path, raw, got.Reason)
	}
	if needsRetry := got.Code == http.StatusServiceUnavailable || got.Code == http.StatusInsufficientStorage; needsRetry != (answer.Header.Get("Retry-After") != "") {
		t.Errorf("%s %s: code %d has Retry-After %q", method, path, got.Code, answer.Header.Get("Retry-After"))
	}
	got.Body = ""
	return got
}

func digestOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

func contentPath(namespace, data string) string {
	return contract.GatewayPrefix + namespace + "/content/" + digestOf(data)
}

func tag(data string) string { return `"` + digestOf(data) + `"` }

func with(header http.Header, name, value string) http.Header {
	header = header.Clone()
	header.Set(name, value)
	return header
}

// step is a request and its response.
type step struct {
	name, method, path, body string
	header                   http.Header
	want                     response
}

var dispatcher = http.Header{contract.GatewayTokenHeader: {"dispatcher"}}

// run sends the requests of steps, one after another.
func (g *gateway) run(t *testing.T, steps []step) {
	t.Helper()
	for _, step := range steps {
		if diff := cmp.Diff(step.want, g.do(t, step.method, step.path, step.body, step.header)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// requests are those that every storage responds to in the same way.
func requests() []step {
	return []step{
		{"a result is missing", "GET", results + "7/output", "", bearer, response{Code: 404, Reason: contract.GatewayNotFound}},
		{"a pod stores a result", "PUT", results + "7/output", "data", bearer, response{Code: 201, Etag: tag("data")}},
		{"it is not replaced", "PUT", results + "7/output", "other", bearer, response{Code: 412, Reason: contract.GatewayExists, Etag: tag("data")}},
		{"a pod reads it", "GET", results + "7/output", "", bearer, response{Code: 200, Body: "data", Etag: tag("data")}},
		{"a dispatcher reads it", "GET", results + "7/output", "", dispatcher, response{Code: 200, Body: "data", Etag: tag("data")}},
		{"HEAD", "HEAD", results + "7/output", "", bearer, response{Code: 200, Etag: tag("data")}},
		{"HEAD of a missing object", "HEAD", results + "8/output", "", bearer, response{Code: 404, Reason: contract.GatewayNotFound}},
		{"a download resumes", "GET", results + "7/output", "", with(with(bearer, "Range", "bytes=2-"), "If-Match", tag("data")), response{Code: 206, Body: "ta", Etag: tag("data")}},
		{"another object is not resumed", "GET", results + "7/output", "", with(with(bearer, "Range", "bytes=2-"), "If-Range", tag("other")), response{Code: 200, Body: "data", Etag: tag("data")}},
		{"a failed precondition", "GET", results + "7/output", "", with(bearer, "If-Match", tag("other")), response{Code: 412, Etag: tag("data")}},
		{"an object below an object", "GET", results + "7/output/x", "", bearer, response{Code: 404, Reason: contract.GatewayNotFound}},
		{"an empty result", "PUT", results + "7/stdout", "", bearer, response{Code: 201, Etag: tag("")}},
		{"a pod stores no content", "PUT", contentPath("a", "input"), "input", bearer, response{Code: 403, Reason: contract.GatewayNotPermitted}},
		{"another digest", "PUT", contentPath("a", "input"), "other", dispatcher, response{Code: 422, Reason: contract.GatewayDigestMismatch}},
		{"a dispatcher stores content", "PUT", contentPath("a", "input"), "input", dispatcher, response{Code: 201, Etag: tag("input")}},
		{"again", "PUT", contentPath("a", "input"), "input", dispatcher, response{Code: 200, Etag: tag("input")}},
		{"a pod reads it", "GET", contentPath("a", "input"), "", bearer, response{Code: 200, Body: "input", Etag: tag("input")}},
		{"a dispatcher stores no result", "PUT", results + "9/output", "x", dispatcher, response{Code: 403, Reason: contract.GatewayNotPermitted}},
		{"another namespace", "GET", contentPath("b", "input"), "", dispatcher, response{Code: 403, Reason: contract.GatewayNotPermitted}},
		{"no token", "GET", results + "7/output", "", nil, response{Code: 401, Reason: contract.GatewayUnauthenticated}},
		{"an invalid token", "GET", results + "7/output", "", http.Header{"Authorization": {"Bearer invalid"}}, response{Code: 401, Reason: contract.GatewayUnauthenticated}},
		{"two tokens", "GET", results + "7/output", "", with(bearer, contract.GatewayTokenHeader, "dispatcher"), response{Code: 400, Reason: contract.GatewayInvalidRequest}},
		{"basic authentication", "GET", results + "7/output", "", http.Header{"Authorization": {"Basic cG9k"}}, response{Code: 400, Reason: contract.GatewayInvalidRequest}},
		{"DELETE", "DELETE", results + "7/output", "", bearer, response{Code: 405, Reason: contract.GatewayMethodNotAllowed}},
		{"a forged path", "GET", results + "../a2/x", "", bearer, response{Code: 400, Reason: contract.GatewayInvalidPath}},
		{"an escaped path", "GET", results + "%2e%2e/a2/x", "", bearer, response{Code: 400, Reason: contract.GatewayInvalidPath}},
		{"a query", "GET", results + "7/output?x", "", bearer, response{Code: 400, Reason: contract.GatewayInvalidPath}},
		{"a long path", "GET", results + strings.Repeat("x", 10_000), "", bearer, response{Code: 400, Reason: contract.GatewayInvalidPath}},
		{"a scraper", "GET", "/metrics", "", http.Header{"Authorization": {"Bearer pod"}}, response{Code: 403, Reason: contract.GatewayNotPermitted}},
		{"an unknown scraper", "GET", "/metrics", "", http.Header{"Authorization": {"Bearer invalid"}}, response{Code: 401, Reason: contract.GatewayUnauthenticated}},
	}
}

func TestRequests(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir(), Quota: func(string) int64 { return 64 << 10 }}, server.Config{})
	g.run(t, append(requests(), []step{
		{"an object as folder", "PUT", results + "7/output/x", "data", bearer, response{Code: 409, Reason: contract.GatewayConflict}},
		{"a folder", "PUT", results + "7", "data", bearer, response{Code: 409, Reason: contract.GatewayConflict}},
		{"over the quota", "PUT", results + "9/output", strings.Repeat("x", 64<<10), bearer, response{Code: 507, Reason: contract.GatewayQuotaExceeded}},
		{"within the quota", "PUT", results + "9/output", "small", bearer, response{Code: 201, Etag: tag("small")}},
	}...))
	if got := g.do(t, "GET", "/metrics", "", http.Header{"Authorization": {"Bearer prometheus"}}); got.Code != 200 || !strings.Contains(got.Body, `taskgroup_gateway_refusals_total{reason="QuotaExceeded"} 1`) {
		t.Errorf("metrics: %v", got)
	}
}

// TestAPIServerUnavailable requires that a request is neither allowed nor refused.
func TestAPIServerUnavailable(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{})
	g.reviewer.isDown.Store(true)
	for _, path := range []string{results + "7/output", "/metrics"} {
		if got := g.do(t, "GET", path, "", bearer); got.Code != 503 || got.Reason != contract.GatewayAPIUnavailable {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// dial sends the header of a PUT of 4 bytes, and returns the connection.
func (g *gateway) dial(t *testing.T, path string, lines ...string) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	header := append([]string{"PUT " + path + " HTTP/1.1", "Host: gateway", "Content-Length: 4"}, lines...)
	if _, err := io.WriteString(connection, strings.Join(header, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return connection, bufio.NewReader(connection)
}

func readCode(t *testing.T, reader *bufio.Reader) (int, contract.GatewayReason) {
	t.Helper()
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, contract.GatewayReason(answer.Header.Get("Taskgroup-Gateway-Reason"))
}

// TestExistingContentIsNotSent requires the response before the client sends a body.
func TestExistingContentIsNotSent(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{})
	lines := []string{contract.GatewayTokenHeader + ": dispatcher", "Expect: 100-continue"}
	connection, reader := g.dial(t, contentPath("a", "data"), lines...)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("a new object: %q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, "data"); err != nil {
		t.Fatal(err)
	}
	if code, _ := readCode(t, reader); code != 201 {
		t.Fatalf("code %d", code)
	}
	_, reader = g.dial(t, contentPath("a", "data"), lines...)
	if code, _ := readCode(t, reader); code != 200 {
		t.Errorf("an existing object: code %d", code)
	}
}

// TestSupersededDuringTransfer refuses an object whose transfer began before the attempt
// was superseded.
func TestSupersededDuringTransfer(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{})
	connection, reader := g.dial(t, results+"7/output", "Authorization: Bearer pod", "Expect: 100-continue")
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	g.reviewer.newest.Store(2)
	if _, err := io.WriteString(connection, "data"); err != nil {
		t.Fatal(err)
	}
	if code, reason := readCode(t, reader); code != 403 || reason != contract.GatewaySuperseded {
		t.Errorf("code %d, reason %s", code, reason)
	}
	g.reviewer.newest.Store(1)
	if got := g.do(t, "GET", results+"7/output", "", bearer); got.Code != 404 {
		t.Errorf("the object of the superseded attempt: %v", got)
	}
}

// TestStalledTransfer frees what a client holds that sends nothing.
func TestStalledTransfer(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{MaxTransfers: 1, Stall: 100 * time.Millisecond})
	_, reader := g.dial(t, results+"7/output", "Authorization: Bearer pod")
	if code, reason := readCode(t, reader); code != 400 || reason != contract.GatewayInvalidRequest {
		t.Errorf("code %d, reason %s", code, reason)
	}
	if got := g.do(t, "PUT", results+"7/output", "data", bearer); got.Code != 201 {
		t.Errorf("the next transfer: %v", got)
	}
}

// TestTooManyTransfers requires a response that the clients retry.
func TestTooManyTransfers(t *testing.T) {
	g := start(t, volume.Config{Dir: t.TempDir()}, server.Config{MaxTransfers: 1, SlotTimeout: 100 * time.Millisecond})
	connection, reader := g.dial(t, results+"7/output", "Authorization: Bearer pod", "Expect: 100-continue")
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if count := testutil.CollectAndCount(g.registry, "taskgroup_gateway_transfers"); count != 1 {
		t.Errorf("%d gauges", count)
	}
	if got := g.do(t, "PUT", results+"8/output", "data", bearer); got.Code != 503 || got.Reason != contract.GatewayBusy {
		t.Errorf("%v", got)
	}
	_ = connection.Close()
	if got := g.do(t, "PUT", results+"8/output", "data", bearer); got.Code != 201 {
		t.Errorf("after the transfer: %v", got)
	}
}

// TestGracefulStop requires that a running transfer finishes.
func TestGracefulStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	begun, address, stopped := make(chan struct{}), make(chan net.Addr, 1), make(chan error, 1)
	listener := server.Listener{
		Address: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Started: func(a net.Addr) { address <- a },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-ctx.Done()
			_, _ = fmt.Fprint(w, "data")
		}),
	}
	go func() { stopped <- listener.Run(ctx) }()
	answered := make(chan error, 1)
	url := "http://" + (<-address).String()
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err == nil {
			var answer *http.Response
			if answer, err = http.DefaultClient.Do(request); err == nil {
				var raw []byte
				raw, err = io.ReadAll(answer.Body)
				if answer.Body.Close(); string(raw) != "data" {
					err = errors.Join(err, fmt.Errorf("body %q", raw))
				}
			}
		}
		answered <- err
	}()
	<-begun
	stop()
	if err := errors.Join(<-answered, <-stopped); err != nil {
		t.Error(err)
	}
}

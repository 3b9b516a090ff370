// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/access"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

const (
	defaultMaxTransfers = 128
	defaultStall        = time.Minute
	defaultSlotTimeout  = 30 * time.Second

	metricsPath = "/metrics"
)

// Objects stores objects.
type Objects interface {
	Open(objectpath.Location) (*volume.Object, error)
	Create(l objectpath.Location, size int64, body io.Reader) (volume.Info, error)
}

// Reviewer collects the evidence of requests.
type Reviewer interface {
	Evidence(ctx context.Context, request access.Request, token string, caller access.Caller) (access.Evidence, error)
	MayReadMetrics(ctx context.Context, token string) (isAuthenticated, isAllowed bool, err error)
}

// Config configures a Handler. Zero values are the defaults.
type Config struct {
	Objects  Objects
	Reviewer Reviewer
	// Registry has the metrics, and gets those of the Handler.
	Registry *prometheus.Registry
	Log      *slog.Logger
	// MaxTransfers bounds the transfers at a time, which bounds the memory; 128 by
	// default. Further requests wait.
	MaxTransfers int
	// Stall is the time in which some bytes of a transfer have to pass; 1 min by default.
	Stall time.Duration
	// SlotTimeout is how long a request waits for other transfers; 30 s by default.
	SlotTimeout time.Duration
}

// Handler handles the requests of pods and dispatchers.
type Handler struct {
	config  Config
	slots   chan struct{}
	metrics *metrics
	scrape  http.Handler
}

// NewHandler returns a Handler.
func NewHandler(config Config) (*Handler, error) {
	if config.Objects == nil || config.Reviewer == nil || config.Registry == nil || config.Log == nil {
		return nil, errors.New("the fields Objects, Reviewer, Registry and Log are required")
	}
	config.MaxTransfers = cmp.Or(config.MaxTransfers, defaultMaxTransfers)
	config.Stall = cmp.Or(config.Stall, defaultStall)
	config.SlotTimeout = cmp.Or(config.SlotTimeout, defaultSlotTimeout)
	h := &Handler{
		config:  config,
		slots:   make(chan struct{}, config.MaxTransfers),
		metrics: newMetrics(),
		scrape:  promhttp.HandlerFor(config.Registry, promhttp.HandlerOpts{}),
	}
	if err := h.metrics.register(config.Registry); err != nil {
		return nil, fmt.Errorf("registering the metrics: %w", err)
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	response := &response{ResponseWriter: w, controller: http.NewResponseController(w), stall: h.config.Stall}
	defer response.finish()
	if refused := h.serve(response, r); refused != nil {
		refused.write(response)
		h.metrics.refused(refused.reason)
		h.log(r, refused)
	}
	h.metrics.observe(r.Method, response.code, time.Since(started))
}

// log reports failures of the gateway as warnings, and errors of callers at the level of
// debugging.
func (h *Handler) log(r *http.Request, refused *refusal) {
	level := slog.LevelDebug
	if refused.code >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	h.config.Log.Log(r.Context(), level, "refused a request", "method", r.Method, "path", truncated(r.RequestURI), "code", refused.code, "reason", refused.reason, "error", cmp.Or(refused.cause, error(refused)))
}

// truncated bounds what a caller can write to the log.
func truncated(text string) string { return text[:min(len(text), 256)] }

func (h *Handler) serve(w *response, r *http.Request) *refusal {
	if r.RequestURI == metricsPath {
		return h.serveMetrics(w, r)
	}
	request, refused := parse(r)
	if refused != nil {
		return refused
	}
	token, caller, err := access.Token(r.Header)
	if err != nil {
		return &refusal{code: http.StatusBadRequest, reason: contract.GatewayInvalidRequest, message: err.Error()}
	}
	authorize := func() *refusal {
		evidence, err := h.config.Reviewer.Evidence(r.Context(), request, token, caller)
		if err != nil {
			return unavailable(err)
		}
		if verdict := access.Decide(request, evidence); !verdict.IsAllowed() {
			return &refusal{code: verdict.Code, reason: verdict.Reason, message: verdict.Message}
		}
		return nil
	}
	if refused = authorize(); refused != nil {
		return refused
	}
	release, refused := h.acquire(r.Context())
	if refused != nil {
		return refused
	}
	defer release()
	if request.IsWrite {
		return h.put(w, r, request.Location, authorize)
	}
	return h.get(w, r, request.Location)
}

// parse reads the method and the path as they were sent.
func parse(r *http.Request) (access.Request, *refusal) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
	default:
		return access.Request{}, &refusal{code: http.StatusMethodNotAllowed, reason: contract.GatewayMethodNotAllowed, message: "the methods are GET, HEAD and PUT"}
	}
	if strings.Contains(r.RequestURI, "?") {
		return access.Request{}, &refusal{code: http.StatusBadRequest, reason: contract.GatewayInvalidPath, message: "a path of an object has no query"}
	}
	location, err := objectpath.Parse(r.RequestURI)
	if err != nil {
		return access.Request{}, &refusal{code: http.StatusBadRequest, reason: contract.GatewayInvalidPath, message: err.Error()}
	}
	return access.Request{IsWrite: r.Method == http.MethodPut, Location: location}, nil
}

// unavailable is the response if the API server did not answer.
func unavailable(err error) *refusal {
	return &refusal{code: http.StatusServiceUnavailable, reason: contract.GatewayAPIUnavailable, message: access.ErrUnavailable.Error(), cause: err}
}

// acquire waits until a transfer may begin.
func (h *Handler) acquire(ctx context.Context) (func(), *refusal) {
	timer := time.NewTimer(h.config.SlotTimeout)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		h.metrics.transfers.Inc()
		return func() {
			<-h.slots
			h.metrics.transfers.Dec()
		}, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, &refusal{code: http.StatusServiceUnavailable, reason: contract.GatewayBusy, message: fmt.Sprintf("%d transfers are running", h.config.MaxTransfers)}
}

// get sends an object, or a range of it.
func (h *Handler) get(w *response, r *http.Request, l objectpath.Location) *refusal {
	object, err := h.config.Objects.Open(l)
	if errors.Is(err, volume.ErrConflict) {
		err = volume.ErrNotFound // a part of the path is an object
	}
	if err != nil {
		return refusalOf(err)
	}
	defer func() { _ = object.Close() }()
	header := w.Header()
	header.Set("Etag", etag(object.Info))
	header.Set("Content-Type", "application/octet-stream")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, object)
	h.metrics.bytes.WithLabelValues("sent").Add(float64(w.written))
	return nil
}

// put stores an object. An object that exists is reported before the body is read. A
// transfer may take longer than its pod exists: authorize is called again at its end.
func (h *Handler) put(w *response, r *http.Request, l objectpath.Location, authorize func() *refusal) *refusal {
	if r.ContentLength < 0 {
		return &refusal{code: http.StatusLengthRequired, reason: contract.GatewayInvalidRequest, message: "a PUT has a Content-Length"}
	}
	exists, refused := h.existing(w, l)
	if exists || refused != nil {
		return refused
	}
	info, err := h.config.Objects.Create(l, r.ContentLength, &transfer{body: r.Body, response: w, remaining: r.ContentLength, authorize: authorize})
	if errors.Is(err, volume.ErrExists) {
		// Another writer was faster.
		if exists, refused = h.existing(w, l); exists || refused != nil {
			return refused
		}
	}
	if err != nil {
		return refusalOf(err)
	}
	h.metrics.bytes.WithLabelValues("received").Add(float64(info.Size))
	w.Header().Set("Etag", etag(info))
	w.WriteHeader(http.StatusCreated)
	return nil
}

// existing responds to a PUT of an object that exists, and reports whether it did.
func (h *Handler) existing(w *response, l objectpath.Location) (bool, *refusal) {
	object, err := h.config.Objects.Open(l)
	if errors.Is(err, volume.ErrNotFound) {
		return false, nil
	}
	if errors.Is(err, volume.ErrConflict) {
		return false, &refusal{code: http.StatusConflict, reason: contract.GatewayConflict, message: volume.ErrConflict.Error()}
	}
	if err != nil {
		return false, refusalOf(err)
	}
	tag := etag(object.Info)
	_ = object.Close()
	if !l.IsContent() {
		return true, &refusal{code: http.StatusPreconditionFailed, reason: contract.GatewayExists, message: volume.ErrExists.Error(), etag: tag}
	}
	// The digest names the bytes: there is nothing to store.
	w.Header().Set("Etag", tag)
	w.WriteHeader(http.StatusOK)
	return true, nil
}

// etag is the strong validator of an object.
func etag(info volume.Info) string { return `"` + info.Digest + `"` }

// serveMetrics sends the metrics to callers that may get them.
func (h *Handler) serveMetrics(w *response, r *http.Request) *refusal {
	token, caller, err := access.Token(r.Header)
	if err != nil || token == "" || caller != access.Pod {
		return &refusal{code: http.StatusUnauthorized, reason: contract.GatewayUnauthenticated, message: "the metrics need a token in Authorization"}
	}
	isAuthenticated, isAllowed, err := h.config.Reviewer.MayReadMetrics(r.Context(), token)
	switch {
	case err != nil:
		return unavailable(err)
	case !isAuthenticated:
		return &refusal{code: http.StatusUnauthorized, reason: contract.GatewayUnauthenticated, message: "the API server does not accept the token"}
	case !isAllowed:
		return &refusal{code: http.StatusForbidden, reason: contract.GatewayNotPermitted, message: "the account may not get " + metricsPath}
	}
	h.scrape.ServeHTTP(w, r)
	return nil
}

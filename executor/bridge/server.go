// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// protocolHeader has the protocol version of a client; optional.
	protocolHeader = "Taskgroup-Protocol"
	// maxBody bounds a request, in bytes: a function in memory is the largest.
	maxBody = 256 << 20
	// maxWait bounds a long poll.
	maxWait = 5 * time.Minute
	// maxHandles bounds how many groups one poll waits for.
	maxHandles = 10000
	// gather is how long a poll of many groups collects after the first ended.
	gather = 20 * time.Millisecond
	// maxSearches is how many deleted groups a poll searches the results of at a time.
	maxSearches = 16
	// searchTime is how long a poll begins searches: less than a client waits for a response.
	searchTime = 10 * time.Second
	// warnAfter is how long a watch may fail until polls report it.
	warnAfter = 10 * time.Second
)

type server struct {
	options  *Options
	log      logr.Logger
	clusters *clusters
	outbox   *outbox
	open     openGroups
	// stopping is closed when polls are to answer.
	stopping chan struct{}
}

func newServer(options *Options, log logr.Logger) *server {
	s := &server{options: options, log: log, clusters: newClusters(log, options.Cluster), stopping: make(chan struct{})}
	if len(options.CallbackHosts) > 0 {
		s.outbox = newOutbox(options, log)
		s.clusters.observer = s.outbox.observer
	}
	return s
}

// route is one of the API's.
type route struct {
	method, path string
	serve        func(s *server, r *http.Request) (any, error)
	// request, nil for none, and response are the shapes, for the OpenAPI document.
	request, response any
}

var routes = []route{
	{http.MethodGet, "/healthz", (*server).health, nil, HealthResponse{}},
	{http.MethodGet, "/v1/version", (*server).version, nil, VersionResponse{}},
	post("/v1/handle", (*server).handle),
	post("/v1/upload-uri", (*server).uploadURI),
	post("/v1/send", (*server).send),
	post("/v1/poll", (*server).poll),
	post("/v1/receive", (*server).receive),
	post("/v1/cancel", (*server).cancel),
	post("/v1/run", (*server).run),
	post("/v1/storage", (*server).storage),
	post("/v1/upload", (*server).upload),
	post("/v1/download", (*server).download),
	post("/v1/check", (*server).check),
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.method+" "+route.path, func(w http.ResponseWriter, r *http.Request) {
			begin := time.Now()
			answer, err := s.answer(route, w, r)
			status := http.StatusOK
			if err != nil {
				answer = ErrorResponse{Error: errorBody(err)}
				status = statusOf(err)
			}
			write(w, status, answer)
			if err != nil && r.Context().Err() == nil {
				s.log.Info("A request failed", "path", route.path, "status", status, "error", err.Error(), "seconds", time.Since(begin).Seconds())
			}
		})
	}
	return mux
}

func (s *server) answer(route route, w http.ResponseWriter, r *http.Request) (any, error) {
	if spoken := r.Header.Get(protocolHeader); spoken != "" && spoken != strconv.Itoa(Protocol) {
		return nil, invalidf("the client speaks protocol %q, this bridge %d: use releases that belong together", spoken, Protocol)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	return route.serve(s, r)
}

// post makes a route of a method that takes a decoded request.
func post[Request, Response any](path string, serve func(*server, context.Context, *Request) (*Response, error)) route {
	return route{http.MethodPost, path, func(s *server, r *http.Request) (any, error) {
		var request Request
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			return nil, invalidf("reading the request: %w", err)
		}
		return serve(s, r.Context(), &request)
	}, *new(Request), *new(Response)}
}

func (s *server) health(*http.Request) (any, error) { return HealthResponse{Status: "ok"}, nil }

func (s *server) version(*http.Request) (any, error) {
	return VersionResponse{Protocol: Protocol, Version: s.options.Version, Pid: os.Getpid(), Codes: executor.Codes(), Options: executor.OptionNames()}, nil
}

// executor adds to a configuration what all requests share, and the cluster of a
// handle, or else of the options.
func (s *server) executor(config executor.Config, handle *executor.Handle) (*executor.Executor, error) {
	cluster, err := s.clusters.get(settingsOf(&config.Options, handle))
	if err != nil {
		return nil, err
	}
	stores, err := s.storesOf(cluster, &config.Options)
	if err != nil {
		return nil, err
	}
	config.Cluster = cluster
	config.Objects = objectReaders{files: results.Files{LocalPaths: config.Options.LocalPaths}, stores: stores}
	config.Signer = s.options.Signer
	config.Stores = stores
	return executor.New(config)
}

// storesOf returns the stores, with the gateway of a cluster.
func (s *server) storesOf(cluster *executor.Cluster, options *executor.Options) (map[string]store.Backend, error) {
	gateway, err := cluster.Gateway(options)
	if err != nil {
		return nil, err
	}
	stores := maps.Clone(s.options.Stores)
	if stores == nil {
		stores = map[string]store.Backend{}
	}
	stores[contract.GatewayScheme] = gateway.Backend()
	return stores, nil
}

// dispatcherOf returns what answers the questions about a dispatch; nil if the request
// has no answers.
func dispatcherOf(info *contract.VersionInfo) executor.Dispatcher {
	if info == nil {
		return nil
	}
	return versionOf{info}
}

// versionOf is the version that a request has for its dispatch. The client itself reads its
// dispatcher whether to cancel, and records the handle.
type versionOf struct{ info *contract.VersionInfo }

// Get returns what the request has.
func (v versionOf) Get(_ context.Context, attribute executor.Attribute) (json.RawMessage, error) {
	if attribute == executor.VersionInfo {
		return json.Marshal(v.info)
	}
	return json.RawMessage("false"), nil
}

// Put has no dispatcher to call.
func (versionOf) Put(context.Context, executor.Attribute, any) error { return nil }

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w request: %w", executor.ErrInvalid, fmt.Errorf(format, args...))
}

func errorBody(err error) ErrorBody {
	code, retry := executor.CodeOf(err)
	if _, passes := errors.AsType[*laterError](err); passes {
		retry = true
	}
	return ErrorBody{Code: code, Message: err.Error(), Retry: retry}
}

// statusOf is the HTTP status of an error; the code in the body is more specific.
func statusOf(err error) int {
	for status, kinds := range map[int][]error{
		http.StatusBadRequest:          {executor.ErrInvalid, executor.ErrConfiguration},
		http.StatusUnauthorized:        {executor.ErrUnauthorized},
		http.StatusForbidden:           {executor.ErrForbidden},
		http.StatusNotFound:            {executor.ErrNotInstalled, executor.ErrNamespace},
		http.StatusConflict:            {executor.ErrConflict, executor.ErrNotFinished},
		http.StatusGone:                {executor.ErrCancelled},
		http.StatusUnprocessableEntity: {executor.ErrTaskFailed, executor.ErrManifestInvalid, executor.ErrStoreRefused},
		http.StatusServiceUnavailable:  {executor.ErrUnavailable, executor.ErrManifestUnavailable},
	} {
		for _, kind := range kinds {
			if errors.Is(err, kind) {
				return status
			}
		}
	}
	return http.StatusInternalServerError
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(protocolHeader, strconv.Itoa(Protocol))
	w.WriteHeader(status)
	// A client that disconnected repeats its request.
	if result, ok := answer.(*RunResponse); ok {
		_ = result.writeTo(w)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// writeTo writes the response as JSON, without a copy of a large result.
func (r *RunResponse) writeTo(w io.Writer) error {
	if _, err := io.WriteString(w, `{"result":"`); err != nil {
		return err
	}
	encoder := base64.NewEncoder(base64.StdEncoding, w)
	if _, err := encoder.Write(r.Result); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\"}\n")
	return err
}

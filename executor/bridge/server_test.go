// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// secret is what no answer and no log may have in it.
const secret = "c4n4ry-t0k3n"

// started is a bridge within the test, on a kubeconfig of an API server that no process
// serves.
type started struct {
	client     *http.Client
	kubeconfig string
	log        *lockedBuffer
	stop       context.CancelFunc
	ended      chan error
}

func start(t *testing.T) *started {
	t.Helper()
	return startOn(t, "http://127.0.0.1:1")
}

// startOn is start with an API server.
func startOn(t *testing.T, server string, changes ...func(*Options)) *started {
	t.Helper()
	// Not t.TempDir: with the test's name it is too long for a socket.
	dir, err := os.MkdirTemp("", "bridge") //nolint:usetesting // as above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &started{kubeconfig: filepath.Join(dir, "kubeconfig"), log: &lockedBuffer{}, ended: make(chan error, 1)}
	text := `{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u","namespace":"team"}}],
	"clusters":[{"name":"c","cluster":{"server":"` + server + `"}}],"users":[{"name":"u","user":{"token":"` + secret + `"}}]}`
	if err := os.WriteFile(s.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	s.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	options := Options{Listen: "unix://" + socket, Log: s.log, Version: "v1"}
	for _, change := range changes {
		change(&options)
	}
	go func() {
		defer close(s.ended)
		s.ended <- Run(ctx, options)
	}()
	t.Cleanup(func() {
		cancel()
		for err := range s.ended {
			if err != nil {
				t.Error(err)
			}
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		response, err := s.client.Get("http://bridge/healthz")
		if err == nil {
			_ = response.Body.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// post returns the status and the body.
func (s *started) post(t *testing.T, path, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://bridge"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		request.Header.Set(header[0], header[1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(answer.String())
}

func TestRequests(t *testing.T) {
	s := start(t)
	e := fmt.Sprintf(`"executor":{"kubeconfig":%q,"namespace":"team"}`, s.kubeconfig)
	group := `"task_group_metadata":{"dispatch_id":"d1","node_ids":[3],"task_group_id":3}`
	for name, tc := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"a handle":                     {"/v1/handle", "{" + e + "," + group + "}", 200, `{"handle":{"context":"x","namespace":"team","name":"` + executor.Name("d1", 3) + `","server":"http://127.0.0.1:1"}}`},
		"a place":                      {"/v1/upload-uri", "{" + strings.TrimSuffix(e, "}") + `,"assets":"file:///a"},` + group + `,"object_key":"node_0"}`, 200, `{"uri":"file:///a/` + executor.Name("d1", 3) + `/node_0"}`},
		"receive after a cancel":       {"/v1/receive", "{" + e + "," + group + `,"data":null}`, 200, `"status":{"STATUS":"CANCELLED"},"assets":{}`},
		"receive without a cluster":    {"/v1/receive", `{"executor":{"kubeconfig":"/no/such/file"},` + group + `,"data":null}`, 200, `"status":{"STATUS":"CANCELLED"},"assets":{}`},
		"a poll in its time":           {"/v1/poll", "{" + e + `,"handles":[{"namespace":"team","name":"tg-x"}],"wait_seconds":0.01}`, 200, `{"results":[]}`},
		"a poll of nothing":            {"/v1/poll", "{" + e + `,"handles":[]}`, 400, `"code":"Invalid"`},
		"a poll without a kubeconfig":  {"/v1/poll", `{"executor":{"kubeconfig":"/no/such/file"},"handles":[{"namespace":"team","name":"tg-x"}]}`, 400, `"retry":true`},
		"no JSON":                      {"/v1/send", "what?", 400, `"code":"Invalid"`},
		"a send of nothing":            {"/v1/send", "{" + e + "," + group + "}", 400, `"code":"Invalid"`},
		"a kubeconfig that is none":    {"/v1/handle", `{"executor":{"kubeconfig":"/no/such/file"},` + group + "}", 400, `"code":"Configuration"`},
		"a context that is none":       {"/v1/handle", "{" + strings.TrimSuffix(e, "}") + `,"context":"y"},` + group + "}", 400, `"code":"Configuration"`},
		"an executor that is invalid":  {"/v1/handle", "{" + strings.TrimSuffix(e, "}") + `,"retries":-1},` + group + "}", 400, "retries is -1"},
		"an option of a newer release": {"/v1/send", "{" + strings.TrimSuffix(e, "}") + `,"signed":true},` + group + `,"task_specs":[{"electron_id":3,"args":[],"kwargs":{}}],"resources":{"functions":{"3":"file:///f"}}}`, 400, `unknown option \"signed\"`},
		"a run without assets":         {"/v1/run", "{" + e + `,"task_metadata":{"dispatch_id":"d1","node_id":3},"call":{"function":"Zg=="}}`, 400, "needs assets"},
		"a check of no cluster":        {"/v1/check", `{"executor":{"kubeconfig":"/no/such/file"}}`, 200, `{"checks":[{"name":"cluster","status":"failed","message":"reading the kubeconfig: `},
		"a check of a lost cluster":    {"/v1/check", "{" + e + `,"no_pod":true}`, 200, `{"name":"image","status":"skipped","message":"because cluster failed"}],"ok":false}`},
		"a check of no executor":       {"/v1/check", "{" + strings.TrimSuffix(e, "}") + `,"retries":-1}}`, 400, "retries is -1"},
		"a check of an unknown field":  {"/v1/check", "{" + strings.TrimSuffix(e, "}") + `,"pod":{"imge":"x"}}}`, 400, `"code":"Invalid"`},
		"a check without time":         {"/v1/check", "{" + e + `,"timeout_seconds":-1}`, 400, "must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := s.post(t, tc.path, tc.body)
			if status != tc.status || !strings.Contains(body, tc.says) {
				t.Errorf("%d %s; want %d %s", status, body, tc.status, tc.says)
			}
			if strings.Contains(body, secret) {
				t.Errorf("a secret is in %s", body)
			}
		})
	}
	if status, body := s.post(t, "/v1/handle", "{}", protocolHeader, "99"); status != 400 || !strings.Contains(body, "speaks protocol") {
		t.Errorf("another protocol: %d %s", status, body)
	}
	response, err := s.client.Get("http://bridge/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var version VersionResponse
	if err := json.NewDecoder(response.Body).Decode(&version); err != nil || version.Protocol != Protocol || version.Version != "v1" || len(version.Codes) == 0 ||
		!slices.Contains(version.Options, "presign") || slices.Contains(version.Options, "-") {
		t.Errorf("version %+v, %v", version, err)
	}
}

// TestStop: a poll is answered, not broken off, and the log is JSON without secrets.
func TestStop(t *testing.T) {
	s := start(t)
	answered := make(chan string, 1)
	go func() {
		status, body := s.post(t, "/v1/poll", fmt.Sprintf(`{"executor":{"kubeconfig":%q},"handles":[{"namespace":"team","name":"tg-x"}],"wait_seconds":300}`, s.kubeconfig))
		answered <- fmt.Sprint(status, body)
	}()
	// The watch cannot begin: it reports it, which is when the poll waits for it.
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.log.String(), "The watch on TaskGroups broke"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the poll does not watch")
		}
	}
	s.stop()
	if got := <-answered; got != `200{"results":[]}` && got != `200 {"results":[]}` {
		t.Errorf("the poll was answered %s", got)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	for line := range strings.Lines(s.log.String()) {
		if !json.Valid([]byte(line)) || strings.Contains(line, secret) {
			t.Errorf("the log has %q", line)
		}
	}
}

// TestStatuses: every sentinel has a status of its own kind, and none is a success.
func TestStatuses(t *testing.T) {
	for _, code := range executor.Codes() {
		err := executor.ErrorOf(code, "words")
		status := statusOf(err)
		if _, retry := executor.CodeOf(err); status < 400 || (retry && status != 503 && status != 409) || (status == 500) != errors.Is(err, executor.ErrInternal) {
			t.Errorf("%s is %d", code, status)
		}
	}
}

// FuzzRequests: whatever a client sends, the answer is JSON and the bridge lives.
func FuzzRequests(f *testing.F) {
	f.Add("/v1/send", `{"task_specs":[{}]}`)
	f.Add("/v1/poll", `{"handles":[{"name":"x","namespace":"\u0000"}]}`)
	f.Add("/v1/receive", `{"data":[1]}`)
	f.Add("/v1/cancel", `{"job_handle":{"uid":"x"}}`)
	s := newServer(&Options{}, logr.Discard())
	// An invalid kubeconfig, so that no request is sent.
	f.Setenv("KUBECONFIG", "/no/such/file")
	handler := s.routes()
	f.Fuzz(func(t *testing.T, path, body string) {
		found := false
		for _, route := range routes {
			found = found || (route.path == path && route.method == http.MethodPost)
		}
		if !found {
			return
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		if err != nil {
			return
		}
		answer := &recorded{header: http.Header{}}
		handler.ServeHTTP(answer, request)
		if !json.Valid(answer.body.Bytes()) {
			t.Errorf("%d %q", answer.status, answer.body.String())
		}
	})
}

// TestRunResponse: the response is written without a copy of the result, and is what
// encoding/json writes.
func TestRunResponse(t *testing.T) {
	for _, size := range []int{1, 2, 3, 100_000} {
		response := &RunResponse{Result: bytes.Repeat([]byte{0xfb, 0xff, 0}, size)[:size]}
		want, err := json.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := response.writeTo(&got); err != nil || got.String() != string(want)+"\n" {
			t.Errorf("%d bytes: %d are written, want %d; %v", size, got.Len(), len(want)+1, err)
		}
	}
	large := &RunResponse{Result: make([]byte, 8<<20)}
	if allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = large.writeTo(io.Discard)
		}
	}).AllocedBytesPerOp(); allocated > 1<<20 {
		t.Errorf("%d bytes are allocated for a result of %d", allocated, len(large.Result))
	}
}

// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// guarded is an API server that accepts one token and counts what it accepts.
type guarded struct {
	*httptest.Server
	mu       sync.Mutex
	token    string
	accepted []string
}

func serveGuarded(t *testing.T, token string) *guarded {
	t.Helper()
	g := &guarded{token: token}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer "+g.token {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`))
			return
		}
		g.accepted = append(g.accepted, r.Method)
		_, _ = w.Write([]byte(`{"kind":"TaskGroup","apiVersion":"kubernetes.covalent.xyz/v1alpha1","metadata":{"uid":"u"}}`))
	}))
	t.Cleanup(g.Close)
	return g
}

// taken returns what was accepted since the last call.
func (g *guarded) taken() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := strings.Join(g.accepted, " ")
	g.accepted = nil
	return taken
}

func (g *guarded) accept(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token = token
}

// kubeconfigOf has a context for each server, all with one token. All servers of httptest
// have one certificate authority, which would identify them as one cluster.
func kubeconfigOf(current, token string, servers map[string]string) string {
	var contexts, clusters []string
	for name, server := range servers {
		contexts = append(contexts, fmt.Sprintf(`{"name":%q,"context":{"cluster":%q,"user":"u","namespace":"team"}}`, name, name))
		clusters = append(clusters, fmt.Sprintf(`{"name":%q,"cluster":{"server":%q,"insecure-skip-tls-verify":true}}`, name, server))
	}
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":%q,"contexts":[%s],"clusters":[%s],"users":[{"name":"u","user":{"token":%q}}]}`,
		current, strings.Join(contexts, ","), strings.Join(clusters, ","), token)
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const oneTask = `"task_group_metadata":{"dispatch_id":"d","node_ids":[1],"task_group_id":1},"task_specs":[{"electron_id":1}]`

// TestKubeconfigIsReadAgain: a token is renewed in the file, by a tool that does not
// replace it at once.
func TestKubeconfigIsReadAgain(t *testing.T) {
	t.Parallel()
	api := serveGuarded(t, "old")
	s := startOn(t, api.URL)
	servers := map[string]string{"x": api.URL}
	send := func(status int) {
		t.Helper()
		if got, body := s.post(t, "/v1/send", fmt.Sprintf(`{"executor":{"kubeconfig":%q},%s}`, s.kubeconfig, oneTask)); got != status {
			t.Errorf("%d %s; want %d", got, body, status)
		}
	}
	rewrite(t, s.kubeconfig, kubeconfigOf("x", "old", servers))
	send(http.StatusOK)
	for _, incomplete := range []string{"", "{", `{"apiVersion":"v1","kind":"Config","current-context":"x"}`} {
		rewrite(t, s.kubeconfig, incomplete)
		send(http.StatusOK)
	}
	api.accept("renewed")
	send(http.StatusUnauthorized)
	rewrite(t, s.kubeconfig, kubeconfigOf("x", "renewed", servers))
	send(http.StatusOK)
	if got := api.taken(); got != "POST POST POST POST POST" {
		t.Errorf("accepted %s", got)
	}
	if strings.Contains(s.log.String(), "renewed\"") {
		t.Errorf("the log has a token: %s", s.log.String())
	}
}

// TestHandlesKeepTheirCluster: another context becomes the current one, and then the
// context of the handle is redefined.
func TestHandlesKeepTheirCluster(t *testing.T) {
	t.Parallel()
	first, second := serveGuarded(t, "t"), serveGuarded(t, "t")
	s := startOn(t, first.URL)
	servers := map[string]string{"a": first.URL, "b": second.URL}
	rewrite(t, s.kubeconfig, kubeconfigOf("a", "t", servers))
	options := fmt.Sprintf(`"executor":{"kubeconfig":%q}`, s.kubeconfig)
	send := func() executor.Handle {
		t.Helper()
		status, body := s.post(t, "/v1/send", "{"+options+","+oneTask+"}")
		var answer HandleResponse
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
			t.Fatal(status, body, err)
		}
		return answer.Handle
	}
	cancel := func(handle executor.Handle) (int, string) {
		t.Helper()
		raw, err := json.Marshal(handle)
		if err != nil {
			t.Fatal(err)
		}
		return s.post(t, "/v1/cancel", fmt.Sprintf(`{%s,"task_metadata":{"dispatch_id":"d","node_id":1},"job_handle":%s}`, options, raw))
	}
	handle := send()
	if handle.Context != "a" || handle.Server != first.URL || first.taken() != "POST" {
		t.Errorf("the handle is %+v", handle)
	}
	rewrite(t, s.kubeconfig, kubeconfigOf("b", "t", servers))
	if status, body := cancel(handle); status != 200 || first.taken() != "PATCH" || second.taken() != "" {
		t.Errorf("with another current context: %d %s", status, body)
	}
	if now := send(); now.Context != "b" || second.taken() != "POST" {
		t.Errorf("a new handle is %+v", now)
	}
	earlier := executor.Handle{Namespace: "team", Name: handle.Name}
	if status, body := cancel(earlier); status != 200 || second.taken() != "PATCH" {
		t.Errorf("a handle of an earlier release: %d %s", status, body)
	}
	rewrite(t, s.kubeconfig, kubeconfigOf("b", "t", map[string]string{"a": second.URL, "b": second.URL}))
	if status, body := cancel(handle); status != 400 || !strings.Contains(body, `"code":"Configuration"`) || second.taken() != "" {
		t.Errorf("with a context that was redefined: %d %s", status, body)
	}
	poll := fmt.Sprintf(`{%s,"handles":[{"context":"a","namespace":"team","name":"tg-x","server":%q}],"wait_seconds":0.01}`, options, first.URL)
	if status, body := s.post(t, "/v1/poll", poll); status != 400 || !strings.Contains(body, `"retry":true`) {
		t.Errorf("a poll: %d %s", status, body)
	}
	rewrite(t, s.kubeconfig, kubeconfigOf("a", "t", servers))
	if status, body := cancel(handle); status != 200 || first.taken() != "PATCH" {
		t.Errorf("with the context restored: %d %s", status, body)
	}
}

// TestRequestsUseTheBridgesCluster: a bridge that runs as a service has settings of its
// administrator, and its clients name no kubeconfig.
func TestRequestsUseTheBridgesCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "/no/such/file")
	path := filepath.Join(t.TempDir(), "kubeconfig")
	rewrite(t, path, kubeconfigOf("a", "t", map[string]string{"a": "http://127.0.0.1:1", "b": "http://127.0.0.1:2"}))
	other := filepath.Join(t.TempDir(), "kubeconfig")
	rewrite(t, other, kubeconfigOf("c", "t", map[string]string{"c": "http://127.0.0.1:3"}))
	s := startOn(t, "http://127.0.0.1:1", func(o *Options) {
		o.CallbackHosts, o.CallbackClusters = []string{"localhost"}, []executor.ClusterSettings{{Kubeconfig: path, Namespace: "watched"}}
	})
	for name, tc := range map[string]struct{ options, context, namespace string }{
		"nothing":            {`{}`, "a", "watched"},
		"a namespace":        {`{"namespace":"mine"}`, "a", "mine"},
		"a context":          {`{"context":"b"}`, "b", "team"},
		"another kubeconfig": {fmt.Sprintf(`{"kubeconfig":%q}`, other), "c", "team"},
	} {
		status, body := s.post(t, "/v1/handle", `{"executor":`+tc.options+`,"task_group_metadata":{"dispatch_id":"d","node_ids":[1],"task_group_id":1}}`)
		var answer HandleResponse
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || answer.Handle.Context != tc.context || answer.Handle.Namespace != tc.namespace {
			t.Errorf("a request with %s: %d %s, %v", name, status, body, err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// gatewayAPI is an API server with an asset gateway behind its service proxy, which has
// objects by their path.
type gatewayAPI struct {
	mu      sync.Mutex
	objects map[string]string
	absent  bool
}

const proxyPath = "/api/v1/namespaces/taskgroup-system/services/https:taskgroup-gateway:https/proxy"

func (g *gatewayAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	path, isProxied := strings.CutPrefix(r.URL.Path, proxyPath)
	switch {
	case strings.HasSuffix(r.URL.Path, "/serviceaccounts/taskgroup-dispatcher/token"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","status":{"token":"of-the-account"}}`)
	case !isProxied, g.absent:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"services \"taskgroup-gateway\" not found","code":404}`)
	case r.Header.Get(contract.GatewayTokenHeader) != "of-the-account":
		g.refuse(w, http.StatusUnauthorized, contract.GatewayUnauthenticated)
	case r.Method == http.MethodPut:
		raw, _ := io.ReadAll(r.Body)
		g.objects[path] = string(raw)
		w.WriteHeader(http.StatusCreated)
	default:
		object, ok := g.objects[path]
		if !ok {
			g.refuse(w, http.StatusNotFound, contract.GatewayNotFound)
			return
		}
		_, _ = io.WriteString(w, object)
	}
}

func (*gatewayAPI) refuse(w http.ResponseWriter, code int, reason contract.GatewayReason) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(contract.GatewayError{Reason: reason, Message: "words"})
}

// TestStorageIsTheGateway: an executor without assets uses the gateway of its cluster, and
// its objects pass through the API server.
func TestStorageIsTheGateway(t *testing.T) {
	api := &gatewayAPI{objects: map[string]string{}}
	server := httptest.NewServer(api)
	defer server.Close()
	s := startOn(t, server.URL)
	executor := fmt.Sprintf(`"executor":{"kubeconfig":%q`, s.kubeconfig)
	status, body := s.post(t, "/v1/storage", "{"+executor+"}}")
	if want := `{"assets":"gateway://team","outputs":"gateway://team/groups"}`; status != http.StatusOK || body != want {
		t.Fatalf("%d %s, want %s", status, body, want)
	}
	status, body = s.post(t, "/v1/storage", "{"+executor+`,"assets":"s3://bucket/prefix"}}`)
	if want := `{"assets":"s3://bucket/prefix","outputs":"s3://bucket/prefix/results"}`; status != http.StatusOK || body != want {
		t.Errorf("%d %s, want %s", status, body, want)
	}
	path, target := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(path, []byte("object"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The SHA-256 of "object".
	const digest = "2958d416d08aa5a472d7b509036cb7eafd542add84527e66a145ea64cb4cdc75"
	uri := contract.GatewayContentURI("team", digest)
	if status, body = s.post(t, "/v1/upload", "{"+executor+fmt.Sprintf(`},"path":%q,"uri":%q}`, path, uri)); status != http.StatusOK {
		t.Fatalf("upload: %d %s", status, body)
	}
	request := "{" + executor + fmt.Sprintf(`},"path":%q,"uri":%q,"size":6,"sha256":%q}`, target, uri, digest)
	if status, body = s.post(t, "/v1/download", request); status != http.StatusOK {
		t.Fatalf("download: %d %s", status, body)
	}
	if raw, err := os.ReadFile(target); err != nil || string(raw) != "object" {
		t.Errorf("downloaded %q, %v", raw, err)
	}
	if len(api.objects) != 1 || api.objects["/v1/namespaces/team/content/"+digest] != "object" {
		t.Errorf("stored %v", api.objects)
	}
}

func TestStorageWithoutAGateway(t *testing.T) {
	server := httptest.NewServer(&gatewayAPI{absent: true})
	defer server.Close()
	s := startOn(t, server.URL)
	status, body := s.post(t, "/v1/storage", fmt.Sprintf(`{"executor":{"kubeconfig":%q}}`, s.kubeconfig))
	if status != http.StatusBadRequest || !strings.Contains(body, `"code":"Configuration"`) || !strings.Contains(body, "set assets to a location that the pods reach too") {
		t.Errorf("%d %s", status, body)
	}
}

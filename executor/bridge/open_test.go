// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// apiServer takes TaskGroups and remembers which were cancelled.
type apiServer struct {
	*httptest.Server
	mu        sync.Mutex
	refuses   bool
	cancelled []string
}

func serveAPI(t *testing.T) *apiServer {
	t.Helper()
	a := &apiServer{}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	var object map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && a.refuses:
		w.WriteHeader(http.StatusForbidden)
		object = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}
	case r.Method == http.MethodPost:
		object["metadata"].(map[string]any)["uid"] = "uid-of-" + object["metadata"].(map[string]any)["name"].(string)
	case r.Method == http.MethodPatch:
		if spec, _ := object["spec"].(map[string]any); spec["cancel"] == true {
			a.cancelled = append(a.cancelled, path.Base(r.URL.Path))
		}
		object = map[string]any{"kind": "TaskGroup", "apiVersion": "kubernetes.covalent.xyz/v1alpha1"}
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		object = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "ServiceUnavailable", "code": 503}
	}
	_ = json.NewEncoder(w).Encode(object)
}

// TestStopCancels what is open and was to be cancelled, and nothing else.
func TestStopCancels(t *testing.T) {
	api := serveAPI(t)
	s := startOn(t, api.URL)
	request := func(group int, cancelOnStop bool, more string) string {
		return fmt.Sprintf(`{"executor":{"kubeconfig":%q,"cancel_on_stop":%t},"task_group_metadata":{"dispatch_id":"d","node_ids":[%d],"task_group_id":%d}%s}`,
			s.kubeconfig, cancelOnStop, group, group, more)
	}
	send := func(group int, cancelOnStop bool) (int, string) {
		return s.post(t, "/v1/send", request(group, cancelOnStop, fmt.Sprintf(`,"task_specs":[{"electron_id":%d}]`, group)))
	}
	for group, cancelOnStop := range map[int]bool{1: true, 2: false, 3: true} {
		if status, body := send(group, cancelOnStop); status != 200 {
			t.Fatal(status, body)
		}
	}
	api.mu.Lock()
	api.refuses = true
	api.mu.Unlock()
	if status, _ := send(4, true); status != http.StatusForbidden {
		t.Errorf("a group that is refused: %d", status)
	}
	// As after the end of a bridge that had sent it.
	poll := func(group int, cancelOnStop bool) string {
		return request(group, cancelOnStop, fmt.Sprintf(`,"handles":[{"namespace":"team","name":%q}],"wait_seconds":0.01`, executor.Name("d", int64(group))))
	}
	for group, cancelOnStop := range map[int]bool{5: true, 6: false} {
		if status, body := s.post(t, "/v1/poll", poll(group, cancelOnStop)); status != 200 {
			t.Fatal(status, body)
		}
	}
	// Executors with and without the option share a poll.
	shared := fmt.Sprintf(`{"executor":{"kubeconfig":%q},"wait_seconds":0.01,"handles":[{"namespace":"team","name":%q,"cancel_on_stop":true},{"namespace":"team","name":%q}]}`,
		s.kubeconfig, executor.Name("d", 7), executor.Name("d", 8))
	if status, body := s.post(t, "/v1/poll", shared); status != 200 {
		t.Fatal(status, body)
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	var want []string
	for _, group := range []int64{1, 3, 5, 7} {
		want = append(want, executor.Name("d", group))
	}
	slices.Sort(want)
	slices.Sort(api.cancelled)
	if diff := cmp.Diff(want, api.cancelled); diff != "" {
		t.Errorf("cancelled (-want +got):\n%s", diff)
	}
	if !strings.Contains(s.log.String(), `"open":4,"cancelled":4`) {
		t.Errorf("the log is %s", s.log.String())
	}
}

// TestSendRefusesACallbackThatNobodyWouldMake: the dispatch would wait for ever.
func TestSendRefusesACallbackThatNobodyWouldMake(t *testing.T) {
	api := serveAPI(t)
	cases := []struct {
		hosts    []string
		callback string
		allowed  bool
	}{
		{nil, "", true},
		{nil, "http://localhost:48008", false},
		{[]string{"other", "localhost:48008"}, "http://localhost:48008", true},
		{[]string{"localhost"}, "http://localhost:48008", true},
		{[]string{"localhost:48009"}, "http://localhost:48008", false},
		{[]string{"localhost"}, "localhost:48008", false},
	}
	for i, tc := range cases {
		t.Run(fmt.Sprintf("%v %s", tc.hosts, tc.callback), func(t *testing.T) {
			s := startOn(t, api.URL, func(o *Options) { o.CallbackHosts = tc.hosts })
			status, body := s.post(t, "/v1/send", fmt.Sprintf(
				`{"executor":{"kubeconfig":%q,"callback":%q},"task_group_metadata":{"dispatch_id":"d","node_ids":[1],"task_group_id":%d},"task_specs":[{"electron_id":1}]}`,
				s.kubeconfig, tc.callback, i))
			if (status == http.StatusOK) != tc.allowed {
				t.Errorf("%d: %s, allowed: %t", status, body, tc.allowed)
			}
			if !tc.allowed && (!strings.Contains(body, "--callback-hosts") || !strings.Contains(body, callbackHostsVariable)) {
				t.Errorf("it does not say what to do: %s", body)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// covalent takes job updates; the first answers are errors.
type covalent struct {
	*httptest.Server
	mu     sync.Mutex
	fail   int
	told   []string
	bodies []executor.Outcome
	more   chan struct{}
}

func startCovalent(t *testing.T, fail int) *covalent {
	c := &covalent{fail: fail, more: make(chan struct{}, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fail > 0 {
			c.fail--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		var body executor.Outcome
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		c.told, c.bodies = append(c.told, r.Method+" "+r.URL.Path), append(c.bodies, body)
		c.more <- struct{}{}
	}))
	t.Cleanup(c.Close)
	return c
}

// finished is a group of two nodes that ended and wants to call back.
func finished(callback string) *v1alpha1.TaskGroup {
	tg := &v1alpha1.TaskGroup{}
	tg.Namespace, tg.Name, tg.UID = "team", executor.Name("d1", 3), "uid"
	tg.Spec.TaskGroupID = new(int64(3))
	tg.Spec.DispatchID, tg.Spec.Callback = "d1", &v1alpha1.Callback{URL: callback}
	tg.Status.Tasks = []v1alpha1.TaskStatus{{NodeID: 3, State: v1alpha1.TaskCompleted}, {NodeID: 4, State: v1alpha1.TaskCompleted}}
	return tg
}

func startOutbox(t *testing.T, hosts []string, tg *v1alpha1.TaskGroup) (*outbox, client.WithWatch) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(tg).Build()
	o := newOutbox(&Options{CallbackHosts: hosts, CallbackRate: 1000}, logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	wait := o.run(ctx)
	t.Cleanup(func() { cancel(); wait() })
	return o, c
}

func hostOf(t *testing.T, server *covalent) string {
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// TestOutboxTellsOncePerNode, though the dispatcher fails at first, and records it.
func TestOutboxTellsOncePerNode(t *testing.T) {
	server := startCovalent(t, 1)
	tg := finished(server.URL)
	o, c := startOutbox(t, []string{hostOf(t, server)}, tg)
	o.observer(c)(tg)
	<-server.more
	<-server.more
	want := []string{"PUT /api/v2/dispatches/d1/electrons/3/job", "PUT /api/v2/dispatches/d1/electrons/4/job"}
	if diff := cmp.Diff(want, server.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if got := server.bodies[0].Handle; got.Name != tg.Name || got.UID != "uid" {
		t.Errorf("the body has %+v", got)
	}
	awaitDelivered(t, c, "3,4")
	// What was recorded is not reported again.
	var recorded v1alpha1.TaskGroup
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(tg), &recorded); err != nil {
		t.Fatal(err)
	}
	recorded.Spec, recorded.Status = tg.Spec, tg.Status
	l, err := newLetter(c, &recorded)
	if err != nil || len(l.open()) != 0 {
		t.Errorf("open are %v, %v", l.open(), err)
	}
}

// TestOutboxGoesOnAfterACrash: what an earlier process recorded is not reported again.
func TestOutboxGoesOnAfterACrash(t *testing.T) {
	server := startCovalent(t, 0)
	tg := finished(server.URL)
	tg.Annotations = map[string]string{v1alpha1.DeliveredAnnotation: "3"}
	o, c := startOutbox(t, []string{hostOf(t, server)}, tg)
	o.observer(c)(tg)
	<-server.more
	awaitDelivered(t, c, "3,4")
	if got := strings.Join(server.told, " "); !strings.HasSuffix(got, "electrons/4/job") || len(server.told) != 1 {
		t.Errorf("told %s", got)
	}
}

// TestOutboxTellsNobodyElse: a host that the administrator did not name is not
// called, not by a redirect either.
func TestOutboxTellsNobodyElse(t *testing.T) {
	inner := startCovalent(t, 0)
	outer := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer outer.Close()
	tg := finished(inner.URL)
	o, c := startOutbox(t, []string{strings.TrimPrefix(outer.URL, "http://")}, tg)
	o.observer(c)(tg)
	if len(o.letters) != 0 {
		t.Error("a host that was not named is to be told")
	}
	l, err := newLetter(c, finished(outer.URL))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.put(t.Context(), l, 3); err == nil || len(inner.told) != 0 {
		t.Errorf("a redirect: %v, told %v", err, inner.told)
	}
}

func awaitDelivered(t *testing.T, c client.Client, want string) {
	t.Helper()
	var tg v1alpha1.TaskGroup
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: executor.Name("d1", 3)}, &tg); err != nil {
			t.Fatal(err)
		}
		if tg.Annotations[v1alpha1.DeliveredAnnotation] == want {
			return
		}
	}
	t.Fatalf("delivered is %q, want %q", tg.Annotations[v1alpha1.DeliveredAnnotation], want)
}

// TestOutboxSendsOnlyItsOwn: groups of other dispatchers, and groups that only name the
// dispatch, are in the same namespace and call the same host.
func TestOutboxSendsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dispatcher string
		change     func(*v1alpha1.TaskGroup)
		own        bool
	}{
		"its own":                       {dispatcher: "lab", change: func(*v1alpha1.TaskGroup) {}, own: true},
		"of another dispatcher":         {dispatcher: "lab", change: func(tg *v1alpha1.TaskGroup) { tg.Labels[v1alpha1.DispatcherLabel] = "other" }},
		"of no dispatcher":              {dispatcher: "lab", change: func(tg *v1alpha1.TaskGroup) { tg.Labels = nil }},
		"where one dispatcher is alone": {change: func(tg *v1alpha1.TaskGroup) { tg.Labels = nil }, own: true},
		"with a name of its own":        {change: func(tg *v1alpha1.TaskGroup) { tg.Name = "forged" }},
		"of another group":              {change: func(tg *v1alpha1.TaskGroup) { tg.Spec.TaskGroupID = new(int64(4)) }},
		"without a group":               {change: func(tg *v1alpha1.TaskGroup) { tg.Spec.TaskGroupID = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := finished("http://localhost:48008")
			tg.Labels = map[string]string{v1alpha1.DispatcherLabel: "lab"}
			test.change(tg)
			o := newOutbox(&Options{CallbackHosts: []string{"localhost"}, CallbackRate: 1, Dispatcher: test.dispatcher}, logr.Discard())
			defer o.queue.ShutDown()
			o.observer(nil)(tg)
			if own := len(o.letters) == 1; own != test.own {
				t.Errorf("sent: %t", own)
			}
		})
	}
}

// TestOutboxGivesUpAnUnknownDispatch: the dispatcher was reinstalled, or another one
// listens on its address. The pace is shared with callbacks that matter.
func TestOutboxGivesUpAnUnknownDispatch(t *testing.T) {
	t.Parallel()
	var puts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		puts.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	tg := finished(server.URL)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(tg).Build()
	o := newOutbox(&Options{CallbackHosts: []string{strings.TrimPrefix(server.URL, "http://")}, CallbackRate: 1000}, logr.Discard())
	defer o.queue.ShutDown()
	o.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](time.Microsecond, time.Microsecond))
	o.observer(c)(tg)
	for range maxNotFound {
		o.next(t.Context())
	}
	// It is not queued again when the watch reports it again.
	o.observer(c)(tg)
	if got := puts.Load(); got != maxNotFound || o.queue.Len() != 0 || o.queue.NumRequeues(tg.UID) != 0 {
		t.Errorf("%d callbacks, %d queued", got, o.queue.Len())
	}
}

// TestSendForAnotherDispatcher: this bridge would not make the callback.
func TestSendForAnotherDispatcher(t *testing.T) {
	t.Parallel()
	api := serveAPI(t)
	s := startOn(t, api.URL, func(o *Options) { o.CallbackHosts, o.Dispatcher = []string{"localhost"}, "lab" })
	for dispatcher, want := range map[string]int{"": 200, "lab": 200, "other": 400} {
		status, body := s.post(t, "/v1/send", fmt.Sprintf(`{"executor":{"kubeconfig":%q,"callback":"http://localhost","dispatcher":%q},%s}`, s.kubeconfig, dispatcher, oneTask))
		if status != want {
			t.Errorf("dispatcher %q: %d %s", dispatcher, status, body)
		}
	}
}

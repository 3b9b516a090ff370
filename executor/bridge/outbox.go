// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

const (
	// callbackHostsVariable is what the plugin makes --callback-hosts of
	// (python/covalent_taskgroup_plugin/process.py).
	callbackHostsVariable = "TASKGROUP_BRIDGE_CALLBACK_HOSTS"
	// defaultCallbackRate is in callbacks a second: a dispatcher writes to its
	// database with one thread.
	defaultCallbackRate = 10
	// callbackTimeout bounds one PUT, which downloads the node's assets.
	callbackTimeout = time.Minute
	// callbackWorkers are PUTs at a time.
	callbackWorkers = 4
	firstRetry      = time.Second
	lastRetry       = 5 * time.Minute
	// maxNotFound is how often a dispatcher may answer 404: it does not know the
	// dispatch, but a proxy in front of it answers so while it restarts.
	maxNotFound = 10
)

// errNotFound is a dispatcher that does not know a dispatch or node.
var errNotFound = errors.New("the dispatcher does not know it")

// observe is called for every group that has finished; see executor.ClusterConfig.
type observe = func(*v1alpha1.TaskGroup)

// outbox reports finished nodes to dispatchers: Covalent's push mode
// (covalent_dispatcher/_service/runnersvc.py). Each node of a group with
// spec.callback is PUT until a 2xx, and what was taken note of is an annotation of
// the TaskGroup: the bridge that watches after a crash continues with the rest. A crash
// between the answer and the annotation repeats a PUT, which Covalent takes.
//
// A group is reported until it is deleted, so that its TTL is how long a dispatcher
// may be away.
type outbox struct {
	log        logr.Logger
	hosts      []string
	dispatcher string
	http       *http.Client
	pace       *rate.Limiter
	queue      workqueue.TypedRateLimitingInterface[types.UID]

	mu sync.Mutex
	// letters are the pending callbacks, by the group's UID.
	letters map[types.UID]*letter
}

// letter is a group that ended, and what it takes to report it.
type letter struct {
	client    client.WithWatch
	namespace string
	name      string
	dispatch  string
	url       string
	body      []byte
	nodes     []v1alpha1.NodeID
	delivered []string
}

func newOutbox(options *Options, log logr.Logger) *outbox {
	return &outbox{
		log: log, hosts: options.CallbackHosts, dispatcher: options.Dispatcher, letters: map[types.UID]*letter{},
		pace:  rate.NewLimiter(rate.Limit(options.CallbackRate), 1),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](firstRetry, lastRetry)),
		http: &http.Client{
			Timeout: callbackTimeout,
			// A redirect leads to a host that is not allowed.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// observer passes the finished groups of a namespace to the outbox.
func (o *outbox) observer(c client.WithWatch) observe {
	return func(tg *v1alpha1.TaskGroup) {
		if tg.Spec.Callback == nil || !o.owns(tg) {
			return
		}
		l, err := newLetter(c, tg)
		if err != nil || len(l.open()) == 0 {
			return
		}
		if !o.allows(l.url) {
			o.log.Info("A callback's host is not among --callback-hosts; it is not told", "taskgroup", tg.Namespace+"/"+tg.Name)
			return
		}
		o.mu.Lock()
		known := o.letters[tg.UID] != nil
		if !known {
			o.letters[tg.UID] = l
		}
		o.mu.Unlock()
		if !known {
			o.queue.Add(tg.UID)
		}
	}
}

// owns reports whether a group was sent by this bridge's dispatcher. Everyone with
// permission to create TaskGroups can name a dispatch and an allowed host in one, but
// only the group that the dispatch sent has the name of its dispatch and group.
func (o *outbox) owns(tg *v1alpha1.TaskGroup) bool {
	return tg.Spec.DispatchID != "" && tg.Spec.TaskGroupID != nil && tg.Name == executor.Name(tg.Spec.DispatchID, *tg.Spec.TaskGroupID) &&
		(o.dispatcher == "" || tg.Labels[v1alpha1.DispatcherLabel] == o.dispatcher)
}

func newLetter(c client.WithWatch, tg *v1alpha1.TaskGroup) (*letter, error) {
	l := &letter{client: c, namespace: tg.Namespace, name: tg.Name, dispatch: tg.Spec.DispatchID, url: tg.Spec.Callback.URL}
	if delivered := tg.Annotations[v1alpha1.DeliveredAnnotation]; delivered != "" {
		l.delivered = strings.Split(delivered, ",")
	}
	for i := range tg.Status.Tasks {
		l.nodes = append(l.nodes, tg.Status.Tasks[i].NodeID)
	}
	var err error
	l.body, err = json.Marshal(executor.Outcome{Handle: executor.Handle{Namespace: tg.Namespace, Name: tg.Name, UID: tg.UID}})
	return l, err
}

// open are the nodes that are still to be reported.
func (l *letter) open() []v1alpha1.NodeID {
	var open []v1alpha1.NodeID
	for _, node := range l.nodes {
		if !slices.Contains(l.delivered, nodeKey(node)) {
			open = append(open, node)
		}
	}
	return open
}

// allows reports whether the administrator named the host, with the URL's port or for
// every port.
func (o *outbox) allows(callback string) bool {
	u, err := url.Parse(callback)
	return err == nil && (slices.Contains(o.hosts, u.Host) || slices.Contains(o.hosts, u.Hostname()))
}

// run starts the delivery. What it returns waits for the end, after ctx's.
func (o *outbox) run(ctx context.Context) func() {
	context.AfterFunc(ctx, o.queue.ShutDown)
	var workers sync.WaitGroup
	for range callbackWorkers {
		workers.Go(func() {
			for o.next(ctx) {
				continue
			}
		})
	}
	return func() {
		o.queue.ShutDown()
		workers.Wait()
	}
}

// next delivers one group; false when the queue is shut down.
func (o *outbox) next(ctx context.Context) bool {
	uid, ended := o.queue.Get()
	if ended {
		return false
	}
	defer o.queue.Done(uid)
	o.mu.Lock()
	l := o.letters[uid]
	o.mu.Unlock()
	err := o.deliver(ctx, uid, l)
	switch {
	case err == nil:
		o.mu.Lock()
		delete(o.letters, uid)
		o.mu.Unlock()
		o.queue.Forget(uid)
	case errors.Is(err, errNotFound) && o.queue.NumRequeues(uid)+1 >= maxNotFound:
		// The letter stays, so that the group is not queued again. After a restart of the
		// bridge it is.
		o.log.Info("The dispatcher does not know a dispatch; its callback is given up", "taskgroup", l.namespace+"/"+l.name, "error", err.Error())
		o.queue.Forget(uid)
	case ctx.Err() == nil:
		o.log.Info("A callback failed; it will be tried again", "taskgroup", l.namespace+"/"+l.name, "error", err.Error(), "tries", o.queue.NumRequeues(uid)+1)
		o.queue.AddRateLimited(uid)
	}
	return true
}

// deliver reports the nodes that are open. A group that was deleted is done with.
func (o *outbox) deliver(ctx context.Context, uid types.UID, l *letter) error {
	var failed error
	before := len(l.delivered)
	for _, node := range l.open() {
		if err := o.put(ctx, l, node); err != nil {
			failed = errors.Join(failed, err)
			// The others would wait for the same dispatcher.
			break
		}
		l.delivered = append(l.delivered, nodeKey(node))
	}
	if failed != nil && len(l.delivered) == before {
		if l.isGone(ctx, uid) {
			return nil
		}
		return failed
	}
	if err := o.record(ctx, uid, l); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

// isGone reports whether the group was deleted; false if that is unknown.
func (l *letter) isGone(ctx context.Context, uid types.UID) bool {
	var tg v1alpha1.TaskGroup
	err := l.client.Get(ctx, client.ObjectKey{Namespace: l.namespace, Name: l.name}, &tg)
	return apierrors.IsNotFound(err) || (err == nil && tg.UID != uid)
}

// put reports one node, at the outbox's pace.
func (o *outbox) put(ctx context.Context, l *letter, node v1alpha1.NodeID) error {
	if err := o.pace.Wait(ctx); err != nil {
		return fmt.Errorf("waiting for a turn: %w", err)
	}
	target, err := url.JoinPath(l.url, "api/v2/dispatches", url.PathEscape(l.dispatch), "electrons", nodeKey(node), "job")
	if err != nil {
		return fmt.Errorf("making a callback's URL: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, target, bytes.NewReader(l.body))
	if err != nil {
		return fmt.Errorf("making a callback: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := o.http.Do(request)
	if err != nil {
		return fmt.Errorf("notifying of node %d: %w", node, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("notifying of node %d: %s: %w", node, response.Status, errNotFound)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("notifying of node %d: %s", node, response.Status)
	}
	return nil
}

// record notes what was taken note of.
func (o *outbox) record(ctx context.Context, uid types.UID, l *letter) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": uid, "annotations": map[string]string{v1alpha1.DeliveredAnnotation: strings.Join(l.delivered, ",")},
	}})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	tg := &v1alpha1.TaskGroup{}
	tg.Namespace, tg.Name = l.namespace, l.name
	err = l.client.Patch(ctx, tg, client.RawPatch(types.MergePatchType, patch))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("recording callbacks: %w", err)
	}
	return nil
}

func nodeKey(node v1alpha1.NodeID) string { return node.String() }

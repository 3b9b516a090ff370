// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/access"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
)

// directory is a Directory of a test.
type directory struct {
	mu     sync.Mutex
	pods   map[types.NamespacedName]*metav1.PartialObjectMetadata
	groups map[types.UID]*v1alpha1.TaskGroup
	newest map[string]int32
	err    error
}

func (d *directory) Pod(_ context.Context, name types.NamespacedName, uid types.UID) (*metav1.PartialObjectMetadata, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if pod := d.pods[name]; pod != nil && pod.UID == uid {
		return pod, d.err
	}
	return nil, d.err
}

func (d *directory) Group(_ context.Context, _ types.NamespacedName, uid types.UID) (*v1alpha1.TaskGroup, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.groups[uid], d.err
}

func (d *directory) NewestAttempt(namespace string, uid types.UID) (int32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newest[namespace+"/"+string(uid)], d.err
}

// api is an API server that reviews tokens of the form "account:pod", and an account
// whose name begins with "dispatcher" may create TaskGroups in its own namespace a.
type api struct {
	client  *fake.Clientset
	reviews atomic.Int32
	err     atomic.Pointer[error]
}

func newAPI() *api {
	a := &api{client: fake.NewClientset()}
	a.client.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		a.reviews.Add(1)
		if err := a.err.Load(); err != nil {
			return true, nil, *err
		}
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		account, pod, _ := strings.Cut(review.Spec.Token, "-of-")
		if account == "invalid" {
			return true, review, nil
		}
		review.Status.Authenticated = true
		review.Status.Audiences = review.Spec.Audiences
		if account == "unaware" {
			review.Status.Audiences = nil
		}
		review.Status.User = authenticationv1.UserInfo{Username: "system:serviceaccount:a:" + account}
		if pod != "" {
			review.Status.User.Extra = map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {pod}, "authentication.kubernetes.io/pod-uid": {"uid-of-" + pod},
			}
		}
		return true, review, nil
	})
	a.client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		a.reviews.Add(1)
		if err := a.err.Load(); err != nil {
			return true, nil, *err
		}
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		r, path := review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes
		review.Status.Allowed = strings.HasPrefix(review.Spec.User, "system:serviceaccount:a:dispatcher") &&
			(r != nil && r.Namespace == "a" && r.Verb == "create" && r.Group == v1alpha1.GroupName && r.Resource == "taskgroups" || path != nil && path.Path == "/metrics" && path.Verb == "get")
		return true, review, nil
	})
	return a
}

// indexURI is the URI of the index of the group "indexed", which names indexedURI.
const (
	indexDigest = "1111111111111111111111111111111111111111111111111111111111111112"
	indexURI    = "gateway://a/content/" + indexDigest
	indexedURI  = "gateway://a/groups/producer/a1/7/output"
)

// indexes are URIs by the URI of an index.
type indexes map[string][]string

func (i indexes) Names(index, uri string) (bool, error) { return slices.Contains(i[index], uri), nil }

func reviewer(t *testing.T, a *api, d *directory, clock *testingclock.FakeClock) *access.Reviewer {
	t.Helper()
	r, err := access.NewReviewer(access.Config{
		Tokens: a.client.AuthenticationV1().TokenReviews(), Accesses: a.client.AuthorizationV1().SubjectAccessReviews(), Directory: d, Indexes: indexes{indexURI: {indexedURI}}, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pod(namespace, name, group string, attempt int) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name),
		Labels:      map[string]string{v1alpha1.UIDLabel: group, v1alpha1.AttemptLabel: strconv.Itoa(attempt)},
		Annotations: map[string]string{v1alpha1.NameAnnotation: "name-of-" + group},
	}}
}

func cluster() *directory {
	digest := strings.Repeat("0", 64)
	d := &directory{
		pods: map[types.NamespacedName]*metav1.PartialObjectMetadata{},
		groups: map[types.UID]*v1alpha1.TaskGroup{
			"own": {ObjectMeta: metav1.ObjectMeta{Namespace: "a", UID: "own"}, Spec: v1alpha1.TaskGroupSpec{Assets: &v1alpha1.Assets{
				Functions: v1alpha1.AssetURIs{"1": v1alpha1.AssetURI(contract.GatewayContentURI("a", digest))},
				Inputs:    v1alpha1.AssetURIs{"0": "gateway://a/groups/before/a1/0/output"},
				Index:     &v1alpha1.ObjectReference{URI: indexURI},
			}}},
			"foreign": {ObjectMeta: metav1.ObjectMeta{Namespace: "b", UID: "foreign"}},
		},
		newest: map[string]int32{"a/own": 2, "b/own": 9},
	}
	for _, p := range []*metav1.PartialObjectMetadata{
		pod("a", "current", "own", 2), pod("a", "stale", "own", 1), pod("a", "thief", "foreign", 1), pod("a", "plain", "", 1), pod("a", "orphan", "deleted", 1),
	} {
		d.pods[types.NamespacedName{Namespace: p.Namespace, Name: p.Name}] = p
	}
	return d
}

func TestReviewer(t *testing.T) {
	named := access.Request{Location: objectpath.Location{Namespace: "a", Digest: strings.Repeat("0", 64)}}
	guessed := access.Request{Location: objectpath.Location{Namespace: "a", Digest: strings.Repeat("1", 64)}}
	before := access.Request{Location: objectpath.Location{Namespace: "a", UID: "before", Attempt: 1, Name: "0/output"}}
	beside := access.Request{Location: objectpath.Location{Namespace: "a", UID: "before", Attempt: 1, Name: "0/stdout"}}
	indexed := access.Request{Location: objectpath.Location{Namespace: "a", UID: "producer", Attempt: 1, Name: "7/output"}}
	index := access.Request{Location: objectpath.Location{Namespace: "a", Digest: indexDigest}}
	own := access.Request{IsWrite: true, Location: objectpath.Location{Namespace: "a", UID: "own", Attempt: 2, Name: "1/output"}}
	foreign := access.Request{IsWrite: true, Location: objectpath.Location{Namespace: "a", UID: "foreign", Attempt: 1, Name: "1/output"}}
	upload := named
	upload.IsWrite = true
	elsewhere := access.Request{Location: objectpath.Location{Namespace: "b", Digest: strings.Repeat("0", 64)}}
	cases := map[string]struct {
		request access.Request
		token   string
		caller  access.Caller
		want    contract.GatewayReason
	}{
		"reads its function":               {named, "task-of-current", access.Pod, ""},
		"reads its input":                  {before, "task-of-current", access.Pod, ""},
		"reads its index":                  {index, "task-of-current", access.Pod, ""},
		"reads an input of its index":      {indexed, "task-of-current", access.Pod, ""},
		"writes below its attempt":         {own, "task-of-current", access.Pod, ""},
		"guesses a digest":                 {guessed, "task-of-current", access.Pod, contract.GatewayNotPermitted},
		"reads beside its input":           {beside, "task-of-current", access.Pod, contract.GatewayNotPermitted},
		"reads in another namespace":       {elsewhere, "task-of-current", access.Pod, contract.GatewayNotPermitted},
		"uploads an input":                 {upload, "task-of-current", access.Pod, contract.GatewayNotPermitted},
		"was superseded":                   {own, "task-of-stale", access.Pod, contract.GatewaySuperseded},
		"was superseded and reads":         {named, "task-of-stale", access.Pod, contract.GatewaySuperseded},
		"was deleted":                      {named, "task-of-gone", access.Pod, contract.GatewayPodDeleted},
		"has no group":                     {named, "task-of-plain", access.Pod, contract.GatewayNotATaskPod},
		"has a deleted group":              {named, "task-of-orphan", access.Pod, contract.GatewayGroupDeleted},
		"has the label of a foreign group": {foreign, "task-of-thief", access.Pod, contract.GatewayGroupDeleted},
		"has a token without a pod":        {named, "dispatcher", access.Pod, contract.GatewayNotATaskPod},
		"has no token":                     {named, "", access.Pod, contract.GatewayUnauthenticated},
		"has an invalid token":             {named, "invalid-of-current", access.Pod, contract.GatewayUnauthenticated},
		"has a token of another audience":  {named, "unaware-of-current", access.Pod, contract.GatewayUnauthenticated},
		"may create TaskGroups":            {upload, "dispatcher", access.Dispatcher, ""},
		"may create them, with a pod":      {upload, "dispatcher-of-plain", access.Dispatcher, ""},
		"may not create TaskGroups there":  {elsewhere, "dispatcher", access.Dispatcher, contract.GatewayNotPermitted},
		"may not create TaskGroups":        {named, "task-of-current", access.Dispatcher, contract.GatewayNotPermitted},
		"dispatcher with an invalid token": {named, "invalid", access.Dispatcher, contract.GatewayUnauthenticated},
		"dispatcher without an audience":   {named, "unaware", access.Dispatcher, contract.GatewayUnauthenticated},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := reviewer(t, newAPI(), cluster(), testingclock.NewFakeClock(time.Now()))
			evidence, err := r.Evidence(t.Context(), tc.request, tc.token, tc.caller)
			if err != nil {
				t.Fatal(err)
			}
			if got := access.Decide(tc.request, evidence); got.Reason != tc.want {
				t.Errorf("verdict %+v with %+v, want %q", got, evidence, tc.want)
			}
		})
	}
}

// TestFences has changes of the cluster while the token is in the cache.
func TestFences(t *testing.T) {
	own := access.Request{IsWrite: true, Location: objectpath.Location{Namespace: "a", UID: "own", Attempt: 2, Name: "1/output"}}
	cases := map[string]struct {
		change func(d *directory)
		want   contract.GatewayReason
	}{
		"a pod of the next attempt": {func(d *directory) { d.newest["a/own"] = 3 }, contract.GatewaySuperseded},
		"the next attempt in status": {func(d *directory) {
			group := d.groups["own"].DeepCopy()
			group.Status.Attempt = 3
			d.groups["own"] = group
		}, contract.GatewaySuperseded},
		"a pod with labels of the group in another namespace": {func(d *directory) { d.newest["b/own"] = 99 }, ""},
		"the pod was deleted": {func(d *directory) { clear(d.pods) }, contract.GatewayPodDeleted},
		"the pod was replaced by one of its name": {func(d *directory) {
			d.pods[types.NamespacedName{Namespace: "a", Name: "current"}].UID = "another"
		}, contract.GatewayPodDeleted},
		"the group was deleted": {func(d *directory) { delete(d.groups, "own") }, contract.GatewayGroupDeleted},
		"the group finished": {func(d *directory) {
			group := d.groups["own"].DeepCopy()
			group.Status.Conditions = []metav1.Condition{{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue}}
			d.groups["own"] = group
		}, contract.GatewayGroupFinished},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := cluster()
			r := reviewer(t, newAPI(), d, testingclock.NewFakeClock(time.Now()))
			for i, want := range []contract.GatewayReason{"", tc.want} {
				evidence, err := r.Evidence(t.Context(), own, "task-of-current", access.Pod)
				if err != nil {
					t.Fatal(err)
				}
				if got := access.Decide(own, evidence); got.Reason != want {
					t.Errorf("verdict %d: %+v, want %q", i, got, want)
				}
				tc.change(d)
			}
		})
	}
}

// TestCache counts the reviews. A token of a deleted pod is reviewed again within five
// seconds, also if it was sent as that of a dispatcher, which is reviewed once a minute.
func TestCache(t *testing.T) {
	clock, a := testingclock.NewFakeClock(time.Now()), newAPI()
	r := reviewer(t, a, cluster(), clock)
	request := access.Request{Location: objectpath.Location{Namespace: "a", Digest: strings.Repeat("0", 64)}}
	steps := []struct {
		token   string
		caller  access.Caller
		after   time.Duration
		reviews int32
	}{
		{"task-of-current", access.Pod, 0, 1},
		{"task-of-current", access.Pod, 4 * time.Second, 1},
		{"task-of-current", access.Pod, time.Second + time.Millisecond, 2},
		{"dispatcher", access.Dispatcher, 0, 4},
		{"dispatcher", access.Dispatcher, time.Second, 4},
		{"invalid", access.Pod, 0, 5},
		{"invalid", access.Pod, time.Second, 5},
		{"invalid", access.Pod, time.Second + time.Millisecond, 6},
		{"", access.Pod, 0, 6},
		{"dispatcher", access.Dispatcher, 55 * time.Second, 6},
		{"dispatcher", access.Dispatcher, 3 * time.Second, 8},
		{"dispatcher-of-current", access.Dispatcher, 0, 10},
		{"dispatcher-of-current", access.Pod, 0, 11},
		{"dispatcher-of-current", access.Pod, 6 * time.Second, 12},
	}
	for i, step := range steps {
		clock.Step(step.after)
		if _, err := r.Evidence(t.Context(), request, step.token, step.caller); err != nil {
			t.Fatal(err)
		}
		if got := a.reviews.Load(); got != step.reviews {
			t.Errorf("step %d: %d reviews, want %d", i, got, step.reviews)
		}
	}
}

// TestUnavailable: without the API server, nothing is allowed and nothing is refused.
func TestUnavailable(t *testing.T) {
	request := access.Request{Location: objectpath.Location{Namespace: "a", Digest: strings.Repeat("0", 64)}}
	clock, a, d := testingclock.NewFakeClock(time.Now()), newAPI(), cluster()
	down := errors.New("connection refused")
	r := reviewer(t, a, d, clock)
	expect := func(what string, token string, caller access.Caller, isUnavailable bool) {
		t.Helper()
		if _, err := r.Evidence(t.Context(), request, token, caller); errors.Is(err, access.ErrUnavailable) != isUnavailable {
			t.Errorf("%s: error %v", what, err)
		}
	}
	a.err.Store(&down)
	expect("a pod", "task-of-current", access.Pod, true)
	expect("a dispatcher", "dispatcher", access.Dispatcher, true)
	if _, _, err := r.MayReadMetrics(t.Context(), "dispatcher"); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("metrics: %v", err)
	}
	a.err.Store(nil)
	expect("a pod again", "task-of-current", access.Pod, false)
	d.err = down
	expect("an unknown pod", "task-of-current", access.Pod, true)
	d.err = nil
	a.err.Store(&down)
	expect("in the cache", "task-of-current", access.Pod, false)
	clock.Step(6 * time.Second)
	expect("out of the cache", "task-of-current", access.Pod, true)
}

func TestMayReadMetrics(t *testing.T) {
	r := reviewer(t, newAPI(), cluster(), testingclock.NewFakeClock(time.Now()))
	for token, want := range map[string][2]bool{"dispatcher": {true, true}, "task": {true, false}, "invalid": {false, false}} {
		if isAuthenticated, isAllowed, err := r.MayReadMetrics(t.Context(), token); isAuthenticated != want[0] || isAllowed != want[1] || err != nil {
			t.Errorf("%s: %t, %t, %v", token, isAuthenticated, isAllowed, err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// gatewayClient sends requests to a gateway.
type gatewayClient struct {
	gateway *rig.Gateway
	client  *http.Client
}

func startGateway(t *testing.T, flags ...string) *gatewayClient {
	t.Helper()
	if err := cluster.InstallGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	gateway, err := cluster.StartGateway(t.Context(), rig.GatewayOptions{Dir: t.TempDir(), Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Stop)
	c, err := gateway.Client()
	if err != nil {
		t.Fatal(err)
	}
	return &gatewayClient{gateway, c}
}

// do returns the code and the reason of the response to a request for a URI.
func (g *gatewayClient) do(t *testing.T, method, uri, header, token, body string) (int, contract.GatewayReason, string) {
	t.Helper()
	path := uri
	if strings.HasPrefix(uri, contract.GatewayScheme) {
		var err error
		if path, err = contract.GatewayPath(uri); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, g.gateway.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		request.Header.Set(header, token)
	}
	answer, err := g.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var refused contract.GatewayError
	if answer.StatusCode >= 400 {
		_ = json.Unmarshal(raw, &refused)
	}
	return answer.StatusCode, refused.Reason, string(raw)
}

// gatewayPod is a running pod of a TaskGroup, and its token.
type gatewayPod struct {
	group *v1alpha1.TaskGroup
	pod   *corev1.Pod
	token string
}

func (p *gatewayPod) result(attempt int, name string) string {
	return fmt.Sprintf("%s/%s/a%d/%s", contract.GatewayOutputs(p.group.Namespace), p.group.UID, attempt, name)
}

// tokenOf requests a token for an audience that is bound to a pod, as the kubelet does.
func tokenOf(t *testing.T, pod *corev1.Pod, audience string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      []string{audience},
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	if err := cluster.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return "Bearer " + request.Status.Token
}

// accountToken creates a service account, and requests a token of it.
func accountToken(t *testing.T, namespace, name string, audiences ...string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := cluster.Client.Create(t.Context(), account); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	if err := cluster.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// runGatewayPod starts a group that names inputs.
func runGatewayPod(t *testing.T, namespace, name string, inputs ...string) *gatewayPod {
	t.Helper()
	tg := commands(namespace, name, 1)
	tg.Spec.Assets.Outputs = v1alpha1.AssetURI(contract.GatewayOutputs(namespace))
	tg.Spec.Assets.Inputs = v1alpha1.AssetURIs{}
	for i, uri := range inputs {
		tg.Spec.Assets.Inputs[strconv.Itoa(100+i)] = v1alpha1.AssetURI(uri)
	}
	tg.Spec.Retries = &v1alpha1.Retries{Limit: 1}
	return &gatewayPod{group: awaitReason(t, create(t, tg, rig.Behaviour{Runs: true}), v1alpha1.ReasonRunning)}
}

// find finds the pod of an attempt.
func (p *gatewayPod) find(t *testing.T, attempt int) *gatewayPod {
	t.Helper()
	err := rig.Await(t.Context(), "the pod of the attempt", func(ctx context.Context) (bool, string, error) {
		var pods corev1.PodList
		if err := cluster.Client.List(ctx, &pods, client.InNamespace(p.group.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(p.group.UID), v1alpha1.AttemptLabel: strconv.Itoa(attempt)}); err != nil {
			return false, "", err
		}
		if len(pods.Items) == 0 {
			return false, "no pod", nil
		}
		p.pod = &pods.Items[0]
		return true, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.token = tokenOf(t, p.pod, contract.GatewayAudience)
	return p
}

// gatewayContent returns the URI of an input.
func gatewayContent(namespace, data string) string {
	sum := sha256.Sum256([]byte(data))
	return contract.GatewayContentURI(namespace, hex.EncodeToString(sum[:]))
}

// TestGatewayAuthorization checks callers with real tokens.
func TestGatewayAuthorization(t *testing.T) {
	g := startGateway(t)
	own, other := namespace(t), namespace(t)
	asDispatcher(t, cluster.Config, own)
	dispatcher := accountToken(t, own, dispatcherAccount, contract.GatewayAudience)
	input, secret := gatewayContent(own, "input"), gatewayContent(own, "secret")
	for uri, data := range map[string]string{input: "input", secret: "secret"} {
		if code, reason, _ := g.do(t, "PUT", uri, contract.GatewayTokenHeader, dispatcher, data); code != 201 {
			t.Fatalf("storing an input: %d %s", code, reason)
		}
	}
	pod := runGatewayPod(t, own, "g", input).find(t, 1)
	neighbour := runGatewayPod(t, own, "neighbour").find(t, 1)
	stranger := runGatewayPod(t, other, "g", input).find(t, 1)
	if code, reason, _ := g.do(t, "PUT", pod.result(1, "0/output"), "Authorization", pod.token, "data"); code != 201 {
		t.Fatalf("storing a result: %d %s", code, reason)
	}
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: "plain"}, Spec: *neighbour.pod.Spec.DeepCopy()}
	plain.Spec.NodeName, plain.Spec.Volumes, plain.Spec.ServiceAccountName = "", nil, "default"
	plain.Spec.InitContainers = nil
	for i := range plain.Spec.Containers {
		plain.Spec.Containers[i].VolumeMounts = nil
	}
	if err := cluster.Client.Create(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	const pods, dispatchers = "Authorization", contract.GatewayTokenHeader
	cases := map[string]struct {
		method, uri, header, token string
		code                       int
		reason                     contract.GatewayReason
	}{
		"a pod reads its input":                   {"GET", input, pods, pod.token, 200, ""},
		"a pod reads its result":                  {"GET", pod.result(1, "0/output"), pods, pod.token, 200, ""},
		"a pod stores a result":                   {"PUT", pod.result(1, "0/stdout"), pods, pod.token, 201, ""},
		"a pod writes below another attempt":      {"PUT", pod.result(2, "0/stdout"), pods, pod.token, 403, contract.GatewayNotPermitted},
		"a pod reads what is not named":           {"GET", secret, pods, pod.token, 403, contract.GatewayNotPermitted},
		"a pod guesses a digest":                  {"GET", gatewayContent(own, "guess"), pods, pod.token, 403, contract.GatewayNotPermitted},
		"a pod stores an input":                   {"PUT", gatewayContent(own, "x"), pods, pod.token, 403, contract.GatewayNotPermitted},
		"another group reads":                     {"GET", pod.result(1, "0/output"), pods, neighbour.token, 403, contract.GatewayNotPermitted},
		"another group writes":                    {"PUT", pod.result(1, "x"), pods, neighbour.token, 403, contract.GatewayNotPermitted},
		"another namespace names a digest":        {"GET", input, pods, stranger.token, 403, contract.GatewayNotPermitted},
		"another namespace guesses a UID":         {"GET", pod.result(1, "0/output"), pods, stranger.token, 403, contract.GatewayNotPermitted},
		"a forged path":                           {"GET", contract.GatewayPrefix + own + "/groups/" + string(neighbour.group.UID) + "/a1/%2e%2e/x", pods, neighbour.token, 400, contract.GatewayInvalidPath},
		"another audience":                        {"GET", input, pods, tokenOf(t, pod.pod, "vault"), 401, contract.GatewayUnauthenticated},
		"a token for the API server":              {"GET", input, dispatchers, accountToken(t, own, dispatcherAccount), 401, contract.GatewayUnauthenticated},
		"no token":                                {"GET", input, "", "", 401, contract.GatewayUnauthenticated},
		"a pod without a group":                   {"GET", input, pods, tokenOf(t, plain, contract.GatewayAudience), 403, contract.GatewayNotATaskPod},
		"a pod as a dispatcher":                   {"GET", input, dispatchers, strings.TrimPrefix(pod.token, "Bearer "), 403, contract.GatewayNotPermitted},
		"a dispatcher reads a result":             {"GET", pod.result(1, "0/output"), dispatchers, dispatcher, 200, ""},
		"a dispatcher writes a result":            {"PUT", pod.result(1, "y"), dispatchers, dispatcher, 403, contract.GatewayNotPermitted},
		"a dispatcher in another namespace":       {"GET", gatewayContent(other, "input"), dispatchers, dispatcher, 403, contract.GatewayNotPermitted},
		"an account that creates no TaskGroups":   {"GET", input, dispatchers, accountToken(t, own, "reader", contract.GatewayAudience), 403, contract.GatewayNotPermitted},
		"a dispatcher with the header of a pod":   {"GET", input, pods, "Bearer " + dispatcher, 403, contract.GatewayNotATaskPod},
		"the metrics without permission":          {"GET", "/metrics", pods, "Bearer " + accountToken(t, own, dispatcherAccount), 403, contract.GatewayNotPermitted},
		"the metrics with a token of the gateway": {"GET", "/metrics", pods, "Bearer " + dispatcher, 401, contract.GatewayUnauthenticated},
	}
	for name, test := range cases {
		if code, reason, body := g.do(t, test.method, test.uri, test.header, test.token, "data"); code != test.code || reason != test.reason {
			t.Errorf("%s: %d %s %s, want %d %s", name, code, reason, body, test.code, test.reason)
		}
	}
}

// TestGatewayRefusesStalePods supersedes an attempt, deletes a pod and deletes a group.
func TestGatewayRefusesStalePods(t *testing.T) {
	g := startGateway(t)
	pod := runGatewayPod(t, namespace(t), "g").find(t, 1)
	if code, reason, _ := g.do(t, "PUT", pod.result(1, "0/output"), "Authorization", pod.token, "data"); code != 201 {
		t.Fatalf("%d %s", code, reason)
	}
	// A second pod with the labels of the next attempt, as it exists while the first one
	// is on a node that does not answer.
	next := pod.pod.DeepCopy()
	next.ObjectMeta = metav1.ObjectMeta{Namespace: pod.pod.Namespace, Name: "next", Labels: map[string]string{v1alpha1.UIDLabel: string(pod.group.UID), v1alpha1.AttemptLabel: "2"}, Annotations: pod.pod.Annotations}
	next.Spec.NodeName = ""
	next.Spec.Volumes = nil
	next.Spec.InitContainers = nil
	for i := range next.Spec.Containers {
		next.Spec.Containers[i].VolumeMounts = nil
	}
	if err := cluster.Client.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	await := func(what, token string, want contract.GatewayReason, limit time.Duration) {
		t.Helper()
		err := rig.Await(t.Context(), what, func(context.Context) (bool, string, error) {
			code, reason, _ := g.do(t, "GET", pod.result(1, "0/output"), "Authorization", token, "")
			return reason == want, fmt.Sprint(code, " ", reason), nil
		})
		if took := time.Since(started); err != nil || took > limit {
			t.Errorf("%s: %v after %s", what, err, took)
		}
	}
	await("the first attempt to be superseded", pod.token, contract.GatewaySuperseded, 2*time.Second)
	nextToken := tokenOf(t, next, contract.GatewayAudience)
	if code, reason, _ := g.do(t, "PUT", pod.result(2, "0/output"), "Authorization", nextToken, "data"); code != 201 {
		t.Errorf("the next attempt: %d %s", code, reason)
	}
	if err := cluster.Client.Delete(t.Context(), next, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	started = time.Now()
	err := rig.Await(t.Context(), "the deleted pod to be refused", func(context.Context) (bool, string, error) {
		code, reason, _ := g.do(t, "PUT", pod.result(2, "late"), "Authorization", nextToken, "")
		return reason == contract.GatewayPodDeleted || reason == contract.GatewayUnauthenticated, fmt.Sprint(code, " ", reason), nil
	})
	if took := time.Since(started); err != nil || took > 15*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

// TestGatewayCollectsGarbage deletes a group.
func TestGatewayCollectsGarbage(t *testing.T) {
	g := startGateway(t, "--results-grace=1s", "--inputs-grace=1s", "--collect-interval=200ms")
	own := namespace(t)
	asDispatcher(t, cluster.Config, own)
	dispatcher := accountToken(t, own, dispatcherAccount, contract.GatewayAudience)
	kept := gatewayContent(own, "kept")
	pod := runGatewayPod(t, own, "g").find(t, 1)
	keeper := runGatewayPod(t, own, "keeper", kept).find(t, 1)
	for _, put := range [][4]string{
		{pod.result(1, "0/output"), "Authorization", pod.token, "data"},
		{keeper.result(1, "0/output"), "Authorization", keeper.token, "data"},
		{kept, contract.GatewayTokenHeader, dispatcher, "kept"},
		{gatewayContent(own, "unused"), contract.GatewayTokenHeader, dispatcher, "unused"},
	} {
		if code, reason, _ := g.do(t, "PUT", put[0], put[1], put[2], put[3]); code != 201 {
			t.Fatalf("%s: %d %s", put[0], code, reason)
		}
	}
	if err := cluster.Client.Delete(t.Context(), pod.group); err != nil {
		t.Fatal(err)
	}
	if err := rig.Await(t.Context(), "the garbage to be deleted", func(context.Context) (bool, string, error) {
		result, _, _ := g.do(t, "GET", pod.result(1, "0/output"), contract.GatewayTokenHeader, dispatcher, "")
		return result == 404, strconv.Itoa(result), nil
	}); err != nil {
		t.Error(err)
	}
	for _, uri := range []string{kept, keeper.result(1, "0/output")} {
		if code, reason, _ := g.do(t, "GET", uri, contract.GatewayTokenHeader, dispatcher, ""); code != 200 {
			t.Errorf("%s: %d %s", uri, code, reason)
		}
	}
}

// TestGatewayRoleIsExact runs after the other tests of the gateway, which are not
// parallel: everything that the gateway did was allowed, and everything that its roles
// allow was done.
func TestGatewayRoleIsExact(t *testing.T) {
	requests, err := cluster.Requests()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, r := range requests {
		if r.User.Username != rig.GatewayUser || r.Object.Resource == "" {
			continue
		}
		if r.Unauthorized() {
			t.Errorf("refused: %s %s", r.Verb, r.Object.Resource)
		}
		used[r.Verb+" "+r.Object.Resource] = true
	}
	// An API server that streams lists gets no list of pods, and a TaskGroup is read only
	// if the watch is behind.
	rare := []string{"list pods", "get taskgroups"}
	raw, err := os.ReadFile(filepath.Join(cluster.Root, "config/gateway/role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(raw, []byte("\n---\n")) {
		var role rbacv1.ClusterRole
		if !bytes.Contains(document, []byte("\nrules:\n")) {
			continue
		}
		if err := yaml.UnmarshalStrict(document, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if granted := verb + " " + resource; !used[granted] && !slices.Contains(rare, granted) {
						t.Errorf("granted and never used: %s %s", verb, resource)
					}
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// finishingPod is a pod that stores its results, with a token of its own.
type finishingPod struct {
	prefix string
	token  string
}

func (p *finishingPod) uri(name string) string { return p.prefix + "/" + name }

// output returns about 1 KiB that no other pod stores.
func (p *finishingPod) output() []byte { return bytes.Repeat([]byte(p.prefix), 16) }

// finishingPods creates TaskGroups and the pod of each. Neither an operator nor a node
// changes them.
func finishingPods(t *testing.T, own *rig.Cluster, ns string, n int) []finishingPod {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "tasks"}}
	if err := own.Client.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	pods := make([]finishingPod, n)
	each(t, n, func(ctx context.Context, i int) error {
		tg := commands(ns, fmt.Sprintf("g-%d", i), 1)
		tg.Spec.Assets.Outputs = v1alpha1.AssetURI(contract.GatewayOutputs(ns))
		if err := own.Client.Create(ctx, tg); err != nil {
			return err
		}
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: tg.Name, Labels: map[string]string{
				v1alpha1.UIDLabel: string(tg.UID), v1alpha1.AttemptLabel: "1",
			}},
			Spec: corev1.PodSpec{
				ServiceAccountName: account.Name, AutomountServiceAccountToken: new(false),
				Containers: []corev1.Container{{Name: "task", Image: "task"}},
			},
		}
		if err := own.Client.Create(ctx, pod); err != nil {
			return err
		}
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			Audiences:      []string{contract.GatewayAudience},
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
		}}
		if err := own.Client.SubResource("token").Create(ctx, account, request); err != nil {
			return err
		}
		pods[i] = finishingPod{contract.AttemptURI(string(tg.Spec.Assets.Outputs), string(tg.UID), 1), request.Status.Token}
		return nil
	})
	return pods
}

// TestGatewayManyGroups has the pods of 1,000 groups, each with a token of its own, store an
// output and commit a manifest at the same time. The gateway is killed as soon as the last
// of them was acknowledged; the next one has all of them. The cluster has neither operator
// nor node.
func TestGatewayManyGroups(t *testing.T) {
	const groups = 1000
	own, err := rig.Start(t.Context(), "gateway", "--control-plane-only", "--no-scheduler")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := own.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := own.InstallGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	ns := namespaceOf(t, own, "many")
	pods := finishingPods(t, own, ns, groups)
	dir := t.TempDir()
	g, err := own.StartGateway(t.Context(), rig.GatewayOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { g.Stop() }()
	httpClient, err := g.Client()
	if err != nil {
		t.Fatal(err)
	}
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range pods {
		pod := &pods[i]
		stores := storesWithToken(httpClient, g.URL, "Authorization", "Bearer "+pod.token)
		wg.Go(func() {
			<-begin
			output, err := stores.Put(t.Context(), pod.uri("0/output"), bytes.NewReader(pod.output()))
			if err == nil {
				_, err = stores.Commit(t.Context(), pod.uri("manifest.json"), strings.NewReader(output.SHA256))
			}
			if err != nil {
				t.Errorf("group %d: %v", i, err)
			}
		})
	}
	started := time.Now()
	close(begin)
	wg.Wait()
	t.Logf("%d groups stored their results in %s", groups, time.Since(started).Round(time.Millisecond))
	g.Kill()
	if g, err = own.StartGateway(t.Context(), rig.GatewayOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if httpClient, err = g.Client(); err != nil {
		t.Fatal(err)
	}
	asDispatcher(t, own.Config, ns)
	token := dispatcherToken(t, own, ns)
	stores := storesWithToken(httpClient, g.URL, contract.GatewayTokenHeader, token)
	into := t.TempDir()
	for i := range pods {
		sum := sha256.Sum256(pods[i].output())
		for name, want := range map[string]string{"0/output": string(pods[i].output()), "manifest.json": hex.EncodeToString(sum[:])} {
			path, err := stores.Fetch(t.Context(), pods[i].uri(name), filepath.Join(into, "object"))
			if err != nil {
				t.Errorf("group %d: %v", i, err)
				continue
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("group %d: the %s has %d bytes that differ, %v", i, name, len(got), err)
			}
		}
	}
}

// dispatcherToken requests a token for the gateway.
func dispatcherToken(t *testing.T, own *rig.Cluster, ns string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: dispatcherAccount}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{contract.GatewayAudience}}}
	if err := own.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// storesWithToken returns stores that send a header with each request.
func storesWithToken(httpClient *http.Client, url, header, value string) *store.Stores {
	return store.New(map[string]store.Backend{contract.GatewayScheme: &gateway.Store{Config: gateway.Config{
		URL: url, Client: httpClient,
		Authenticate: func(r *http.Request) error {
			r.Header.Set(header, value)
			return nil
		},
	}}})
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// proxyPath is the path of the gateway at the API server.
const proxyPath = "/api/v1/namespaces/" + rig.OperatorNamespace + "/services/https:taskgroup-gateway:https/proxy"

// hostAddress returns an address of this machine that the API server accepts as the
// endpoint of a Service.
func hostAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no address but the loopback interface's")
	return ""
}

// publish makes a process of this machine the endpoint of the Service: the API server
// connects only to addresses of pods, so that there is a pod with this address.
func publish(t *testing.T, host string, port int32) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(cluster.Root, "config/gateway/deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(raw, &deployment); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: rig.OperatorNamespace, Name: "gateway", Labels: deployment.Spec.Template.Labels},
		Spec:       deployment.Spec.Template.Spec,
	}
	pod.Spec.NodeName, pod.Spec.PriorityClassName, pod.Spec.Volumes = node.Name, "", nil
	container := &pod.Spec.Containers[0]
	container.VolumeMounts = nil
	for i := range container.Ports {
		if container.Ports[i].Name == "https" {
			container.Ports[i].ContainerPort = port
		}
	}
	if err := cluster.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Client.Delete(context.Background(), pod, client.GracePeriodSeconds(0)) })
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, host, []corev1.PodIP{{IP: host}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := cluster.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Run(t.Context(), "apply", "-f", filepath.Join(cluster.Root, "config/gateway/service.yaml")); err != nil {
		t.Fatal(err)
	}
}

// TestGatewayThroughTheServiceProxy uses the gateway as a dispatcher with a kubeconfig
// does: with the Role of clients and no other.
func TestGatewayThroughTheServiceProxy(t *testing.T) {
	if err := cluster.InstallGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := hostAddress(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	g, err := cluster.StartGateway(t.Context(), rig.GatewayOptions{Dir: t.TempDir(), Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	_, text, _ := net.SplitHostPort(address)
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, host, int32(port))
	own := namespace(t)
	config := asDispatcher(t, cluster.Config, own)
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: rig.OperatorNamespace, GenerateName: "gateway-client-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "taskgroup-gateway-client"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: own, Name: dispatcherAccount}},
	}
	if err := cluster.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Client.Delete(context.Background(), binding) })
	httpClient, err := restclient.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	token := accountToken(t, own, dispatcherAccount, contract.GatewayAudience)
	stores := store.New(map[string]store.Backend{contract.GatewayScheme: &gateway.Store{Config: gateway.Config{
		URL: config.Host + proxyPath, Client: httpClient,
		Authenticate: func(r *http.Request) error {
			r.Header.Set(contract.GatewayTokenHeader, token)
			return nil
		},
	}}})
	data := make([]byte, 64<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	uri := contract.GatewayContentURI(own, hex.EncodeToString(sum[:]))
	// The Role and the endpoint are in the caches of the API server a moment later.
	err = rig.Await(t.Context(), "the service proxy", func(ctx context.Context) (bool, string, error) {
		_, err := stores.Put(ctx, gatewayContent(own, "first"), bytes.NewReader([]byte("first")))
		return err == nil, fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"upload", "upload of an object that exists", "download"} {
		started := time.Now()
		if what == "download" {
			var path string
			if path, err = stores.Fetch(t.Context(), uri, filepath.Join(t.TempDir(), "data")); err == nil {
				var raw []byte
				if raw, err = os.ReadFile(path); !bytes.Equal(raw, data) {
					err = errors.Join(err, errors.New("the bytes differ"))
				}
			}
		} else {
			_, err = stores.Put(t.Context(), uri, bytes.NewReader(data))
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %.0f MB/s", what, float64(len(data))/1e6/time.Since(started).Seconds())
	}
	small, first := []time.Duration{}, gatewayContent(own, "first")
	for range 50 {
		started := time.Now()
		if _, err := stores.Fetch(t.Context(), first, filepath.Join(t.TempDir(), "small")); err != nil {
			t.Fatal(err)
		}
		small = append(small, time.Since(started))
	}
	slices.Sort(small)
	t.Logf("a small object: %s (median)", small[len(small)/2])
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+proxyPath+contract.GatewayPrefix+own+"/content/%2e%2e", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(contract.GatewayTokenHeader, token)
	answer, err := httpClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if _ = answer.Body.Close(); answer.StatusCode/100 == 2 {
		t.Errorf("a forged path: %s", answer.Status)
	}
}

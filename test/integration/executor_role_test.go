// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// dispatcherAccount is the service account that executors are in these tests. It has
// the role of config/rbac/executor_role.yaml in its namespace, and no other.
const dispatcherAccount = "dispatcher"

// asDispatcher returns how a dispatcher reaches a namespace, by an administrator's
// configuration.
func asDispatcher(t *testing.T, admin *restclient.Config, namespace string) *restclient.Config {
	t.Helper()
	c, err := client.New(admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: dispatcherAccount}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: dispatcherAccount},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "taskgroup-executor"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: dispatcherAccount}},
	}
	for _, o := range []client.Object{account, binding} {
		if err := c.Create(t.Context(), o); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(2 * time.Hour / time.Second))}}
	if err := c.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	config := restclient.AnonymousClientConfig(admin)
	config.BearerToken = request.Status.Token
	// The role's cache in the API server is a moment behind.
	err = rig.Await(t.Context(), "the role to be in force", func(ctx context.Context) (bool, string, error) {
		own, err := executor.NewClient(config)
		if err != nil {
			return false, "", err
		}
		err = own.List(ctx, &v1alpha1.TaskGroupList{}, client.InNamespace(namespace))
		return err == nil, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// dispatcherKubeconfig is asDispatcher as a file.
func dispatcherKubeconfig(t *testing.T, admin *restclient.Config, namespace string) string {
	t.Helper()
	own := asDispatcher(t, admin, namespace)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: own.Host, CertificateAuthorityData: own.CAData, CertificateAuthority: own.CAFile}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: own.BearerToken}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: namespace}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "dispatcher.kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// usedByDispatchers are the verbs on TaskGroups that executors used; a refusal is an
// error. What a test requests as a dispatcher has no name that has "executor" in it.
func usedByDispatchers(t *testing.T, c *rig.Cluster) map[string]bool {
	t.Helper()
	requests, err := c.Requests()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for i := range requests {
		r := &requests[i]
		if r.Object.Resource == "" || !strings.HasSuffix(r.User.Username, ":"+dispatcherAccount) || !strings.Contains(r.UserAgent, "executor") {
			continue
		}
		if r.Unauthorized() {
			t.Errorf("refused: %s %s %s by %s", r.Verb, r.Object.Resource, r.Object.Name, r.UserAgent)
		}
		used[r.Verb] = true
	}
	return used
}

// TestExecutorRoleIsExact does all that an executor does under its role: every verb is
// used, and none is missing. The other tests of executors run under it too.
func TestExecutorRoleIsExact(t *testing.T) {
	ns := namespace(t)
	const agent = "executor-role"
	e := executorOf(t, cluster.Config, ns, agent)
	tasks, resources, metadata := group("role", 3)
	behave(t, client.ObjectKey{Namespace: ns, Name: e.Handle(metadata).Name}, rig.Behaviour{Runs: true})
	handle, err := e.Send(t.Context(), tasks, resources, metadata)
	if err != nil {
		t.Fatal(err)
	}
	awaitReason(t, client.ObjectKey{Namespace: ns, Name: handle.Name}, v1alpha1.ReasonRunning)
	// Found by a get or, for a node that no group is named by, a list.
	for _, node := range []contract.NodeID{4, 3} {
		if accepted, err := e.Cancel(t.Context(), contract.TaskMetadata{DispatchID: "role", NodeID: node}, nil); accepted != (node == 3) || err != nil {
			t.Errorf("cancelling node %d: %t, %v", node, accepted, err)
		}
	}
	if _, err := e.Poll(t.Context(), handle); err == nil {
		t.Error("a group that was cancelled completed")
	}
	raw, err := os.ReadFile(filepath.Join(cluster.Root, "config/rbac/executor_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(raw, &role); err != nil {
		t.Fatal(err)
	}
	if len(role.Rules) != 1 || len(role.Rules[0].Resources) != 1 || role.Rules[0].Resources[0] != "taskgroups" {
		t.Fatalf("the role is about more than TaskGroups: %+v", role.Rules)
	}
	// The audit log has a watch when it ends.
	e.Close()
	err = rig.Await(t.Context(), "every verb of the role to be used", func(context.Context) (bool, string, error) {
		used := usedByDispatchers(t, cluster)
		var unused []string
		for _, verb := range role.Rules[0].Verbs {
			if !used[verb] {
				unused = append(unused, verb)
			}
		}
		return len(unused) == 0 || t.Failed(), strings.Join(unused, " "), nil
	})
	if err != nil {
		t.Errorf("granted and never used: %v", err)
	}
}

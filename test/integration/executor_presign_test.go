// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// presigned makes an executor one with presign, and a group one of its store.
func presigned(c *executor.Config) {
	c.Options.Presign, c.Options.Outputs, c.Signer = true, "s3://bucket/out", &s3.Signer{}
}

// TestExecutorPresign: under its own two roles a dispatcher makes the Secret, which
// has all URLs and goes with its TaskGroup; without the second role it reports it, and
// leaves nothing that waits.
func TestExecutorPresign(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	ns := namespace(t)
	e := executorOf(t, cluster.Config, ns, "presign", presigned)
	admin, err := client.New(cluster.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tasks, resources, metadata := group("presign-refused", 3)
	handle, err := e.Send(t.Context(), tasks, resources, metadata)
	if code, _ := executor.CodeOf(err); code != "Forbidden" || !strings.Contains(err.Error(), "taskgroup-executor-presign") {
		t.Fatalf("without the role: %v", err)
	}
	awaitReason(t, client.ObjectKey{Namespace: ns, Name: handle.Name}, v1alpha1.ReasonCancelled)

	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: dispatcherAccount + "-presign"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "taskgroup-executor-presign"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: dispatcherAccount}},
	}
	if err := admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	// The role's cache in the API server is a moment behind, and sending again takes it.
	tasks, resources, metadata = group("presign", 3)
	behave(t, client.ObjectKey{Namespace: ns, Name: e.Handle(metadata).Name}, rig.Behaviour{Runs: true})
	awaitRole(t, e)
	if handle, err = e.Send(t.Context(), tasks, resources, metadata); err != nil {
		t.Fatal(err)
	}
	if again, err := e.Send(t.Context(), tasks, resources, metadata); err != nil || again != handle {
		t.Errorf("again: %+v, %v", again, err)
	}
	key := client.ObjectKey{Namespace: ns, Name: handle.Name}
	awaitReason(t, key, v1alpha1.ReasonRunning)
	secret := urlsOf(t, admin, key)
	urls, err := contract.DecodeSignedURLs(secret.Data[contract.SignedURLsKey])
	if err != nil || urls.UID != string(handle.UID) {
		t.Fatalf("urls %+v, %v", urls, err)
	}
	output := contract.AssetURI(contract.AttemptURI("s3://bucket/out", string(handle.UID), 1), 3, contract.AssetOutput)
	if url, ok := urls.URL(contract.Permission{Access: contract.AccessPut, URI: output}); !ok || !strings.HasPrefix(url, "http://127.0.0.1:1/bucket/out/") {
		t.Errorf("the output's URL is %q", url)
	}
	groups, err := executor.NewClient(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := groups.Delete(t.Context(), &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: handle.Name}}); err != nil {
		t.Fatal(err)
	}
	err = rig.Await(t.Context(), "the Secret to go with its TaskGroup", func(ctx context.Context) (bool, string, error) {
		err := admin.Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{})
		return apierrors.IsNotFound(err), "", client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Error(err)
	}
	e.Close()
	presignRoleIsExact(t)
}

// awaitRole waits until the dispatcher may create Secrets: groups of another dispatch are sent until one is taken.
func awaitRole(t *testing.T, e watchedExecutor) {
	t.Helper()
	next := int64(0)
	err := rig.Await(t.Context(), "the role to be in force", func(ctx context.Context) (bool, string, error) {
		next++
		tasks, resources, metadata := group("presign-role", contract.NodeID(next))
		_, err := e.Send(ctx, tasks, resources, metadata)
		if code, _ := executor.CodeOf(err); err != nil && code != "Forbidden" {
			return false, "", err
		}
		return err == nil, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// urlsOf is the Secret that a group mounts.
func urlsOf(t *testing.T, c client.Client, key client.ObjectKey) *corev1.Secret {
	t.Helper()
	reader, err := executor.NewClient(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := reader.Get(t.Context(), key, &tg); err != nil {
		t.Fatal(err)
	}
	volumes := tg.Spec.Pod.Volumes
	var secret corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: key.Namespace, Name: volumes[len(volumes)-1].Secret.SecretName}, &secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}

// presignRoleIsExact compares the role with what dispatchers did to Secrets.
func presignRoleIsExact(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(cluster.Root, "config/rbac/executor_presign_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(raw, &role); err != nil {
		t.Fatal(err)
	}
	if len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Resources, []string{"secrets"}) {
		t.Fatalf("the role is about more than Secrets: %+v", role.Rules)
	}
	var used []string
	err = rig.Await(t.Context(), "the audit log to tell of Secrets", func(context.Context) (bool, string, error) {
		requests, err := cluster.Requests()
		used = nil
		for i := range requests {
			r := &requests[i]
			if r.Object.Resource == "secrets" && strings.HasSuffix(r.User.Username, ":"+dispatcherAccount) && !slices.Contains(used, r.Verb) {
				used = append(used, r.Verb)
			}
		}
		return len(used) > 0, "", err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(role.Rules[0].Verbs, used); diff != "" {
		t.Errorf("granted and used (-granted +used):\n%s", diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/presign"
)

// signer signs with what has the entropy of a signature, and remembers what.
type signer struct {
	mu       sync.Mutex
	err      error
	endpoint string
	lifetime time.Duration
	signed   []string
}

// canary is in every URL, and belongs in the Secret alone.
const canary = "hunter2CANARY"

func (s *signer) Sign(_ context.Context, endpoint string, lifetime time.Duration, permissions []contract.Permission) ([]string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoint, s.lifetime = endpoint, lifetime
	var urls []string
	for _, p := range permissions {
		s.signed = append(s.signed, fmt.Sprint(p.Access, " ", p.URI))
		urls = append(urls, fmt.Sprintf("https://host/%s?X-Amz-Credential=%s%%2F20261123%%2Feu-central-1%%2Fs3%%2Faws4_request&X-Amz-Signature=%x",
			strings.TrimPrefix(p.URI, "s3://"), canary, sha256.Sum256(fmt.Append(nil, p))))
	}
	return urls, time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC), s.err
}

// presigning makes the executor one with presign.
func presigning(s presign.Signer) func(*executor.Config) {
	return func(c *executor.Config) {
		c.Options.Presign, c.Options.Outputs, c.Signer = true, "s3://bucket/out", s
		c.Options.InfrastructureRetries = new(int32(0))
	}
}

// withUIDs has the fake API server give objects a UID.
func withUIDs(funcs interceptor.Funcs) interceptor.Funcs {
	create := funcs.Create
	funcs.Create = func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		if _, ok := o.(*v1alpha1.TaskGroup); ok {
			o.SetUID("uid-" + types.UID(o.GetName()))
		}
		if create != nil {
			return create(ctx, c, o, options...)
		}
		return c.Create(ctx, o, options...)
	}
	return funcs
}

func secretsOf(t *testing.T, c client.Client) []corev1.Secret {
	t.Helper()
	// The fake client lists no type that it has no list of.
	var groups v1alpha1.TaskGroupList
	if err := c.List(t.Context(), &groups); err != nil {
		t.Fatal(err)
	}
	var secrets []corev1.Secret
	for i := range groups.Items {
		volumes := groups.Items[i].Spec.Pod.Volumes
		var secret corev1.Secret
		err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: volumes[len(volumes)-1].Secret.SecretName}, &secret)
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		if err == nil {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

func TestPresignMakesTheSecret(t *testing.T) {
	cluster, c := fakeCluster(t, withUIDs(interceptor.Funcs{}))
	s := &signer{}
	e := newExecutor(t, cluster, presigning(s), func(config *executor.Config) {
		config.Options.PresignSeconds, config.Options.PresignEndpoint = 60, "http://minio:9000"
		config.Options.Pod = &v1alpha1.PodOptions{
			Volumes:      []v1alpha1.Volume{{Name: "own", EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			VolumeMounts: []v1alpha1.VolumeMount{{Name: "own", MountPath: "/own"}},
		}
	})
	tasks, resources := functions(3)
	resources.Functions[3] = "s3://bucket/f"
	resources.Hooks = map[contract.NodeID]string{3: ""}
	resources.Inputs = map[contract.NodeID]string{1: "s3://former/dispatch/1", 2: "file:///2", 4: "s3://former/dispatch/1"}
	handle, err := e.Send(t.Context(), tasks, resources, groupOf(3))
	if err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: handle.Name}, &tg); err != nil {
		t.Fatal(err)
	}
	if pod := tg.Spec.Pod; len(pod.Volumes) != 2 || len(pod.VolumeMounts) != 2 || pod.Volumes[0].Name != "own" || pod.VolumeMounts[1].MountPath != contract.SignedURLsDir {
		t.Errorf("pod %+v", pod)
	}
	if raw, _ := json.Marshal(tg); strings.Contains(string(raw), canary) {
		t.Errorf("the TaskGroup tells what was signed: %s", raw)
	}
	secrets := secretsOf(t, c)
	if len(secrets) != 1 {
		t.Fatalf("secrets %+v", secrets)
	}
	if owners := secrets[0].OwnerReferences; len(owners) != 1 || owners[0].UID != tg.UID || owners[0].Kind != "TaskGroup" {
		t.Errorf("owners %+v", owners)
	}
	urls, err := contract.DecodeSignedURLs(secrets[0].Data[contract.SignedURLsKey])
	if err != nil || urls.UID != string(tg.UID) {
		t.Fatalf("urls %+v, %v", urls, err)
	}
	if url, ok := urls.URL(contract.Permission{Access: contract.AccessGet, URI: "s3://former/dispatch/1"}); !ok || !strings.HasPrefix(url, "https://host/former/dispatch/1?") {
		t.Errorf("the input's is %q", url)
	}
	if s.endpoint != "http://minio:9000" || s.lifetime != time.Minute {
		t.Errorf("signed for %s, %s", s.endpoint, s.lifetime)
	}
	// Once more is nothing new.
	if again, err := e.Send(t.Context(), tasks, resources, groupOf(3)); err != nil || again != handle || len(secretsOf(t, c)) != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestWhatIsSigned(t *testing.T) {
	tests := map[string]struct {
		change func(*executor.Options)
		want   []string
	}{
		"one after the other": {func(o *executor.Options) {}, []string{
			"create P/a1/manifest.json", "create P/a1/started.json", "create P/a2/manifest.json", "create P/a2/started.json",
			"create P/a3/manifest.json", "create P/a3/started.json",
			"get P/a1/3/output", "get P/a1/manifest.json", "get P/a2/3/output", "get P/a2/manifest.json", "get P/a3/manifest.json", "get s3://bucket/f",
			"put P/a1/3/error", "put P/a1/3/output", "put P/a1/3/stderr", "put P/a1/3/stdout",
			"put P/a2/3/error", "put P/a2/3/output", "put P/a2/3/stderr", "put P/a2/3/stdout",
			"put P/a3/3/error", "put P/a3/3/output", "put P/a3/3/stderr", "put P/a3/3/stdout",
		}},
		"beside each other": {func(o *executor.Options) { o.Execution = v1alpha1.Parallel }, []string{
			"create P/a1/3/manifest.json", "create P/a1/3/started.json", "create P/a2/3/manifest.json", "create P/a2/3/started.json",
			"create P/a3/3/manifest.json", "create P/a3/3/started.json",
			"get P/a1/3/manifest.json", "get P/a2/3/manifest.json", "get P/a3/3/manifest.json", "get s3://bucket/f",
			"put P/a1/3/error", "put P/a1/3/output", "put P/a1/3/stderr", "put P/a1/3/stdout",
			"put P/a2/3/error", "put P/a2/3/output", "put P/a2/3/stderr", "put P/a2/3/stdout",
			"put P/a3/3/error", "put P/a3/3/output", "put P/a3/3/stderr", "put P/a3/3/stdout",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, _ := fakeCluster(t, withUIDs(interceptor.Funcs{}))
			s := &signer{}
			e := newExecutor(t, cluster, presigning(s), func(c *executor.Config) { test.change(&c.Options) })
			tasks, resources := functions(3)
			resources.Functions[3] = "s3://bucket/f"
			handle, err := e.Send(t.Context(), tasks, resources, groupOf(3))
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Clone(s.signed)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], "s3://bucket/out/"+string(handle.UID), "P")
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("signed (-want +got):\n%s", diff)
			}
			if s.lifetime != 7*24*time.Hour {
				t.Errorf("for %s", s.lifetime)
			}
		})
	}
}

// TestCheckpointsAreSigned: the last task has none, and the last attempt needs none.
func TestCheckpointsAreSigned(t *testing.T) {
	cluster, _ := fakeCluster(t, withUIDs(interceptor.Funcs{}))
	s := &signer{}
	e := newExecutor(t, cluster, presigning(s))
	tasks, resources := functions(3, 4)
	resources.Functions[3], resources.Functions[4] = "s3://bucket/f", "s3://bucket/f"
	if _, err := e.Send(t.Context(), tasks, resources, groupOf(3, 4)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, signed := range s.signed {
		if access, uri, _ := strings.Cut(signed, " "); strings.Contains(uri, "/checkpoints/") {
			parts := strings.Split(uri, "/")
			got = append(got, access+" "+strings.Join(parts[len(parts)-3:], "/"))
		}
	}
	slices.Sort(got)
	want := []string{"create a1/checkpoints/1.json", "create a2/checkpoints/1.json", "get a1/checkpoints/1.json", "get a2/checkpoints/1.json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("signed (-want +got):\n%s", diff)
	}
}

func manyFunctions(n int) ([]contract.TaskSpec, contract.ResourceMap, contract.TaskGroupMetadata) {
	var nodes []contract.NodeID
	for node := range contract.NodeID(n) {
		nodes = append(nodes, node)
	}
	tasks, resources := functions(nodes...)
	for node := range resources.Functions {
		resources.Functions[node] = fmt.Sprintf("s3://bucket/team/6f1c6d2e-3a52-4b7e-9a3f-0b8f3c1d2e4a/0/function-%d", node)
	}
	return tasks, resources, groupOf(nodes...)
}

// TestPresignOfALargeGroup: 256 tasks with the default retries, and four attempts besides.
func TestPresignOfALargeGroup(t *testing.T) {
	for _, execution := range []v1alpha1.Execution{v1alpha1.Sequential, v1alpha1.Parallel} {
		cluster, c := fakeCluster(t, withUIDs(interceptor.Funcs{}))
		e := newExecutor(t, cluster, presigning(&signer{}), func(c *executor.Config) {
			c.Options.Execution, c.Options.InfrastructureRetries, c.Options.Retries = execution, nil, 4
		})
		tasks, resources, group := manyFunctions(256)
		if _, err := e.Send(t.Context(), tasks, resources, group); err != nil {
			t.Fatal(err)
		}
		size := len(secretsOf(t, c)[0].Data[contract.SignedURLsKey])
		t.Logf("%s: %d bytes", execution, size)
		if size > contract.MaxSignedURLs*9/10 {
			t.Errorf("%s: %d bytes", execution, size)
		}
	}
}

func TestPresignThatCannotBe(t *testing.T) {
	secretRefused := interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		if _, ok := o.(*corev1.Secret); ok {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, o.GetName(), errors.New("may not"))
		}
		return c.Create(ctx, o, options...)
	}}
	tests := map[string]struct {
		funcs  interceptor.Funcs
		signs  func() presign.Signer
		change func(*executor.Options)
		tasks  int
		kind   error
		text   string
		// created reports that there is a group, which must be cancelled.
		created bool
	}{
		"no right to create Secrets": {funcs: secretRefused, kind: executor.ErrForbidden, text: "taskgroup-executor-presign", created: true},
		"nobody to sign":             {signs: func() presign.Signer { return nil }, kind: executor.ErrConfiguration, text: "cannot sign"},
		"no credentials":             {signs: func() presign.Signer { return &signer{err: errors.New("no credentials: set X")} }, kind: executor.ErrConfiguration, text: "no credentials: set X"},
		"too many": {tasks: 256, change: func(o *executor.Options) { o.Retries = 100 }, kind: executor.ErrInvalid,
			text: "lower retries or infrastructure_retries (103 attempts)"},
		"a volume of that name": {kind: executor.ErrInvalid, text: "presigned-urls", change: func(o *executor.Options) {
			o.Pod = &v1alpha1.PodOptions{Volumes: []v1alpha1.Volume{{Name: "presigned-urls"}}}
		}},
		"a mount at that place": {kind: executor.ErrInvalid, text: contract.SignedURLsDir, change: func(o *executor.Options) {
			o.Pod = &v1alpha1.PodOptions{VolumeMounts: []v1alpha1.VolumeMount{{Name: "v", MountPath: contract.SignedURLsDir + "/"}}}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, c := fakeCluster(t, withUIDs(test.funcs))
			e := newExecutor(t, cluster, presigning(&signer{}), func(c *executor.Config) {
				if test.signs != nil {
					c.Signer = test.signs()
				}
				if test.change != nil {
					test.change(&c.Options)
				}
			})
			tasks, resources, group := manyFunctions(max(test.tasks, 1))
			_, err := e.Send(t.Context(), tasks, resources, group)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), canary) {
				t.Errorf("error %v", err)
			}
			var groups v1alpha1.TaskGroupList
			if err := c.List(t.Context(), &groups); err != nil {
				t.Fatal(err)
			}
			if len(groups.Items) != 0 != test.created || test.created && !groups.Items[0].Spec.Cancel {
				t.Errorf("groups %+v", groups.Items)
			}
		})
	}
}

// TestSendMakesASecretThatIsMissing: the first send was broken off after its first write.
func TestSendMakesASecretThatIsMissing(t *testing.T) {
	gone := true
	cluster, c := fakeCluster(t, withUIDs(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		if _, ok := o.(*corev1.Secret); ok && gone {
			return context.Canceled
		}
		return c.Create(ctx, o, options...)
	}, Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
		return context.Canceled
	}}))
	e := newExecutor(t, cluster, presigning(&signer{}))
	tasks, resources, group := manyFunctions(1)
	if _, err := e.Send(t.Context(), tasks, resources, group); err == nil || len(secretsOf(t, c)) != 0 {
		t.Fatalf("error %v", err)
	}
	gone = false
	if _, err := e.Send(t.Context(), tasks, resources, group); err != nil || len(secretsOf(t, c)) != 1 {
		t.Errorf("error %v, %d secrets", err, len(secretsOf(t, c)))
	}
}

func TestPresignOptions(t *testing.T) {
	tests := map[string]struct {
		change func(*executor.Options)
		text   string
	}{
		"files":                  {func(o *executor.Options) { o.Outputs = "file:///out" }, "s3://"},
		"eight days":             {func(o *executor.Options) { o.PresignSeconds = 8 * 24 * 60 * 60 }, "from 1 to 604800"},
		"less than nothing":      {func(o *executor.Options) { o.PresignSeconds = -1 }, "from 1 to 604800"},
		"an endpoint with a key": {func(o *executor.Options) { o.PresignEndpoint = "https://u:p@host" }, "presign_endpoint"},
		"an endpoint of nothing": {func(o *executor.Options) { o.PresignEndpoint = "minio" }, "presign_endpoint"},
	}
	for name, test := range tests {
		options := executor.Options{Presign: true, Outputs: "s3://bucket/out"}
		if err := options.Validate(); err != nil {
			t.Fatal(err)
		}
		test.change(&options)
		if err := options.Validate(); !errors.Is(err, executor.ErrInvalid) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

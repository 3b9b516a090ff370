// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestHandlesOfAnotherCluster are refused by each verb: the group is not found in this
// cluster, and it was not deleted.
func TestHandlesOfAnotherCluster(t *testing.T) {
	t.Parallel()
	here := executor.Identity{Server: "https://a:6443", CA: "ca-a"}
	for name, test := range map[string]struct {
		server, ca string
		refused    bool
	}{
		"this cluster":                {server: "https://a:6443", ca: "ca-a"},
		"another address":             {server: "https://balancer", ca: "ca-a"},
		"another authority":           {server: "https://a:6443", ca: "ca-b"},
		"a handle of earlier release": {},
		"another cluster":             {server: "https://b:6443", ca: "ca-b", refused: true},
		"no authority":                {server: "https://b:6443", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := fakeCluster(t, interceptor.Funcs{}, running(3))
			cluster := executor.NewCluster(executor.ClusterConfig{Client: c, Namespace: "team", Context: "a", Identity: here})
			defer cluster.Close()
			e := newExecutor(t, cluster)
			handle := executor.Handle{Context: "a", Namespace: "team", Name: running(3).Name, Server: test.server, CA: test.ca}
			accepted, err := e.Cancel(t.Context(), contract.TaskMetadata{}, &handle)
			if accepted == test.refused || errors.Is(err, executor.ErrConfiguration) != test.refused {
				t.Errorf("cancel: %t, %v", accepted, err)
			}
			if !test.refused {
				return
			}
			// Without the check, a poll waits for as long as its context.
			ended, end := context.WithCancel(t.Context())
			end()
			if _, err := e.Poll(ended, handle); !errors.Is(err, executor.ErrConfiguration) {
				t.Errorf("poll: %v", err)
			}
			if updates, err := e.Receive(t.Context(), groupOf(3), &executor.Outcome{Handle: handle}); !errors.Is(err, executor.ErrConfiguration) {
				t.Errorf("receive: %+v, %v", updates, err)
			}
		})
	}
}

const twoContexts = `{"apiVersion":"v1","kind":"Config","current-context":"a","contexts":[
	{"name":"a","context":{"cluster":"a","user":"u","namespace":"team"}},{"name":"b","context":{"cluster":"b","user":"u"}}],
	"clusters":[{"name":"a","cluster":{"server":"https://user:password@a:6443/k8s"}},
	{"name":"b","cluster":{"server":"https://b","certificate-authority-data":"Y2E="}}],
	"users":[{"name":"u","user":{"token":"secret"}}]}`

func TestLoadResolvesTheContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(twoContexts)
	for context, want := range map[string]executor.Connection{
		"":  {Context: "a", Namespace: "team", Identity: executor.Identity{Server: "https://a:6443/k8s"}},
		"b": {Context: "b", Namespace: "default", Identity: executor.Identity{Server: "https://b", CA: sum([]byte("ca"))[:24]}},
	} {
		got, err := executor.ClusterSettings{Kubeconfig: path, Context: context}.Load()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got, cmpopts.IgnoreUnexported(executor.Connection{}), cmpopts.IgnoreFields(executor.Connection{}, "Config", "Version")); diff != "" {
			t.Errorf("context %q (-want +got):\n%s", context, diff)
		}
		if got.IsOutdated() {
			t.Errorf("context %q is outdated at once", context)
		}
		write(twoContexts + "\n")
		if !got.IsOutdated() {
			t.Errorf("context %q is not outdated", context)
		}
		write(twoContexts)
	}
	write("{}")
	if got, err := (executor.ClusterSettings{Kubeconfig: path}).Load(); !errors.Is(err, executor.ErrConfiguration) {
		t.Errorf("an empty file: %+v, %v", got, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestRun plays the operator and the pod: it joins the bytes of the function and its
// arguments, as they are found at the URIs of the spec.
func TestRun(t *testing.T) {
	call := executor.Call{Function: []byte("f"), Args: [][]byte{[]byte("a"), []byte("b")}, Kwargs: map[string][]byte{"k": []byte("c")}}
	for name, tc := range map[string]struct {
		node  contract.NodeID
		state v1alpha1.TaskState
		pods  string // what pods call the folder; as this machine if empty
		want  error
		says  string
	}{
		"completes":                  {1, v1alpha1.TaskCompleted, "", nil, "f(a, b, k=c)"},
		"completes, in their folder": {1, v1alpha1.TaskCompleted, "/the/pods", nil, "f(a, b, k=c)"},
		"fails":                      {0, v1alpha1.TaskFailed, "", executor.ErrTaskFailed, "what the operator says"},
	} {
		t.Run(name, func(t *testing.T) {
			assets := t.TempDir()
			cluster, _ := fakeCluster(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, _ ...client.CreateOption) error {
				return complete(ctx, t, c, o.(*v1alpha1.TaskGroup), tc.state, func(uri string) string {
					if tc.pods != "" && !strings.HasPrefix(uri, "file://"+tc.pods+"/") {
						t.Errorf("the pod is told of %s", uri)
					}
					return strings.Replace(uri, tc.pods, assets, min(len(tc.pods), 1))
				})
			}})
			e := newExecutor(t, cluster, func(c *executor.Config) { c.Options.Assets, c.Options.Outputs = "file://"+assets, "" })
			if tc.pods != "" {
				e = newExecutor(t, cluster, func(c *executor.Config) {
					c.Options.Assets, c.Options.Outputs = "file://"+tc.pods, "file://"+assets+"/results"
					c.Options.LocalPaths = map[string]string{tc.pods: assets}
				})
			}
			result, err := e.Execute(t.Context(), call, contract.TaskMetadata{DispatchID: dispatch, NodeID: tc.node})
			if !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) {
				t.Fatalf("got %v", err)
			}
			if said := string(result); err == nil && said != tc.says || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %q, %v", said, err)
			}
			if _, err := os.Stat(filepath.Join(assets, executor.Name(dispatch, int64(tc.node)))); !os.IsNotExist(err) {
				t.Errorf("the objects are left: %v", err)
			}
		})
	}
}

// complete creates a group as it is when it has finished.
func complete(ctx context.Context, t *testing.T, c client.WithWatch, tg *v1alpha1.TaskGroup, state v1alpha1.TaskState, local func(uri string) string) error {
	read := func(uri v1alpha1.AssetURI) string {
		raw, err := os.ReadFile(pathOf(t, local(string(uri))))
		if err != nil {
			t.Error(err)
		}
		return string(raw)
	}
	task := tg.Spec.Tasks[0]
	input := func(node v1alpha1.NodeID) string {
		if node == task.NodeID {
			t.Error("an argument has the number of the function")
		}
		raw, _ := json.Marshal(node)
		return read(tg.Spec.Assets.Inputs[string(raw)])
	}
	key, _ := json.Marshal(task.NodeID)
	text := read(tg.Spec.Assets.Functions[string(key)]) + "(" + input(task.Args[0]) + ", " + input(task.Args[1]) + ", k=" + input(task.Kwargs["k"]) + ")"
	reason := v1alpha1.ReasonCompleted
	if state != v1alpha1.TaskCompleted {
		reason = v1alpha1.ReasonOOMKilled
	}
	tg.UID = types.UID("uid-of-" + tg.Name)
	tg.Status = ended(reason, state, contract.NodeID(task.NodeID)).Status
	if state == v1alpha1.TaskCompleted {
		l := &left{t: t, tg: tg, manifest: contract.Manifest{Version: contract.ManifestVersion, UID: string(tg.UID), Attempt: 1}}
		l.task(contract.NodeID(task.NodeID), contract.TaskCompleted, map[contract.AssetKey]string{"output": text})
		l.commit()
	}
	status := tg.Status
	if err := c.Create(ctx, tg); err != nil {
		return err
	}
	tg.Status = status
	return c.Status().Update(ctx, tg)
}

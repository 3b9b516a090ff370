// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
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
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// list is a task with n args and a keyword argument, as Covalent passes a list of n
// elements.
func list(n int) ([]contract.TaskSpec, contract.ResourceMap) {
	task := contract.TaskSpec{ElectronID: 100_000, Kwargs: map[string]contract.NodeID{"größe": 0}}
	resources := contract.ResourceMap{Functions: map[contract.NodeID]string{100_000: "file:///data/function"}, Inputs: map[contract.NodeID]string{}}
	for node := range contract.NodeID(n) {
		task.Args = append(task.Args, node)
		resources.Inputs[node] = fmt.Sprintf("file:///data/input-%d", node)
	}
	return []contract.TaskSpec{task}, resources
}

// volume makes an executor keep its objects below a folder of this machine that pods
// have elsewhere.
func volume(dir string) func(*executor.Config) {
	return func(c *executor.Config) {
		c.Options.Assets, c.Options.LocalPaths = "file:///srv", map[string]string{"/srv": dir}
		c.Stores = map[string]store.Backend{"file": local.New()}
	}
}

func TestSendOfALongList(t *testing.T) {
	for n, indexed := range map[int]bool{127: false, 10_000: true} {
		cluster, c := fakeCluster(t, interceptor.Funcs{})
		dir := t.TempDir()
		tasks, resources := list(n)
		e := newExecutor(t, cluster, volume(dir))
		handle, err := e.Send(t.Context(), tasks, resources, groupOf(100_000))
		if err != nil {
			t.Fatal(err)
		}
		var tg v1alpha1.TaskGroup
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: handle.Name}, &tg); err != nil {
			t.Fatal(err)
		}
		if got := tg.Spec.Assets.Index != nil; got != indexed {
			t.Errorf("%d elements: indexed is %t", n, got)
		}
		if !indexed {
			continue
		}
		if raw, err := json.Marshal(tg); err != nil || len(raw) > 4<<10 {
			t.Errorf("the object has %d bytes, %v", len(raw), err)
		}
		reference := tg.Spec.Assets.Index
		raw, err := os.ReadFile(filepath.Join(dir, strings.TrimPrefix(string(reference.URI), "file:///srv/")))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(raw)
		if reference.Size != int64(len(raw)) || reference.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("the index has %d bytes with %x, the spec %+v", len(raw), sum, reference)
		}
		index, err := contract.DecodeIndex(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := &contract.Index{
			Version: 1, Inputs: resources.Inputs,
			Tasks: []contract.IndexTask{{NodeID: 100_000, Args: tasks[0].Args, Kwargs: tasks[0].Kwargs}},
		}
		if diff := cmp.Diff(want, index); diff != "" {
			t.Errorf("index (-want +got):\n%s", diff)
		}
		if again, err := e.Send(t.Context(), tasks, resources, groupOf(100_000)); err != nil || again != handle {
			t.Errorf("again: %+v, %v; want %+v", again, err, handle)
		}
		tasks[0].Args[7] = 8
		if _, err := e.Send(t.Context(), tasks, resources, groupOf(100_000)); !cmp.Equal(err, executor.ErrConflict, cmpopts.EquateErrors()) {
			t.Errorf("with other args: %v", err)
		}
	}
}

// readOnlyStore is a store that refuses writes.
type readOnlyStore struct{ store.Backend }

func (readOnlyStore) Put(context.Context, string, *store.Body) error {
	return &store.StatusError{Code: http.StatusForbidden}
}

func TestSendOfALongListThatCannotBeWritten(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*executor.Config)
		want   error
		says   string
	}{
		"no assets":  {func(c *executor.Config) { c.Options.Assets = "" }, executor.ErrInvalid, "20001 arguments and inputs, more than 256 need assets"},
		"no stores":  {func(c *executor.Config) { c.Stores = nil }, executor.ErrInvalid, "need assets"},
		"a refusal":  {func(c *executor.Config) { c.Stores["file"] = readOnlyStore{local.New()} }, executor.ErrStoreRefused, "writing the list of 20001 arguments: file:///"},
		"no backend": {func(c *executor.Config) { c.Options.Assets = "s3://bucket" }, executor.ErrStoreRefused, "s3://bucket/"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, c := fakeCluster(t, interceptor.Funcs{})
			tasks, resources := list(10_000)
			_, err := newExecutor(t, cluster, volume(t.TempDir()), tc.change).Send(t.Context(), tasks, resources, groupOf(100_000))
			if !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.says)
			}
			var groups v1alpha1.TaskGroupList
			if err := c.List(t.Context(), &groups); err != nil || len(groups.Items) > 0 {
				t.Errorf("%d groups were created, %v", len(groups.Items), err)
			}
		})
	}
}

// TestPresignOfALongList: the pod has no credentials: the list and each input are signed.
func TestPresignOfALongList(t *testing.T) {
	cluster, c := fakeCluster(t, withUIDs(interceptor.Funcs{}))
	s := &signer{}
	e := newExecutor(t, cluster, presigning(s), func(c *executor.Config) {
		c.Options.Assets = "s3://bucket/assets"
		c.Stores = map[string]store.Backend{"s3": discarding{}}
	})
	tasks, resources := list(1_000)
	for node := range resources.Inputs {
		resources.Inputs[node] = fmt.Sprintf("s3://bucket/input-%d", node)
	}
	resources.Functions[100_000] = "s3://bucket/f"
	handle, err := e.Send(t.Context(), tasks, resources, groupOf(100_000))
	if err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: handle.Name}, &tg); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{string(tg.Spec.Assets.Index.URI), "s3://bucket/input-0", "s3://bucket/input-999", "s3://bucket/f"} {
		if !slices.Contains(s.signed, "get "+uri) {
			t.Errorf("%s is not signed", uri)
		}
	}
}

// discarding is a store that keeps nothing.
type discarding struct{ store.Backend }

func (discarding) Put(_ context.Context, _ string, body *store.Body) error {
	_, err := io.Copy(io.Discard, body.Reader())
	return err
}

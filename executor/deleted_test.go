// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// TestDeletedGroups: a group that completed before its TaskGroup was deleted has its
// results; every other deleted group is cancelled.
func TestDeletedGroups(t *testing.T) {
	for name, tc := range map[string]struct {
		change    func(*left, *executor.Handle, *executor.Config)
		completed bool
	}{
		"completed": {func(*left, *executor.Handle, *executor.Config) {}, true},
		"completed in a later attempt": {func(l *left, _ *executor.Handle, _ *executor.Config) {
			failed := l.manifest
			failed.Tasks = []contract.TaskRecord{{NodeID: 3, State: contract.TaskFailed}}
			l.write(contract.ManifestURI(l.place()), encoded(l.t, failed))
			l.manifest.Attempt = 3
			l.write(contract.ManifestURI(contract.AttemptURI(string(l.tg.Spec.Assets.Outputs), string(l.tg.UID), 3)), encoded(l.t, l.manifest))
		}, true},
		"failed": {func(l *left, _ *executor.Handle, _ *executor.Config) {
			l.manifest.Tasks[0].State = contract.TaskFailed
			l.commit()
		}, false},
		"without a manifest": {func(l *left, _ *executor.Handle, c *executor.Config) {
			c.Options.Outputs = "file://" + l.t.TempDir()
		}, false},
		"without a UID":    {func(_ *left, h *executor.Handle, _ *executor.Config) { h.UID = "" }, false},
		"of another group": {func(l *left, _ *executor.Handle, _ *executor.Config) { l.manifest.TaskGroupID = 7; l.commit() }, false},
		"in a store that refuses to read missing objects": {func(_ *left, _ *executor.Handle, c *executor.Config) {
			c.Objects = refusing{}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
			l.manifest.DispatchID, l.manifest.TaskGroupID = dispatch, 3
			l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
			l.commit()
			handle := executor.Handle{Namespace: "team", Name: l.tg.Name, UID: l.tg.UID}
			cluster, _ := fakeCluster(t, interceptor.Funcs{})
			e := newExecutor(t, cluster, func(c *executor.Config) {
				c.Options.Outputs = string(l.tg.Spec.Assets.Outputs)
				tc.change(l, &handle, c)
			})
			want := executor.ErrCancelled
			state := contract.TaskCancelled
			if tc.completed {
				want, state = nil, contract.TaskCompleted
			}
			outcome, err := e.Poll(t.Context(), handle)
			if !cmp.Equal(err, want, cmpopts.EquateErrors()) || outcome.Handle != handle || tc.completed != (outcome.Reason == v1alpha1.ReasonCompleted) {
				t.Errorf("poll: %+v, %v", outcome, err)
			}
			updates, err := e.Receive(t.Context(), groupOf(3), &executor.Outcome{Handle: handle})
			if err != nil || len(updates) != 1 || updates[0].Status.Status != state || tc.completed != (updates[0].Assets["output"].Digest == sum([]byte("result"))) {
				t.Errorf("receive: %+v, %v", updates, err)
			}
		})
	}
}

// TestReceiveWithoutPermissionToList: the store does not report whether the manifest of a lost
// pod exists, and the reason of the group is that its node was lost.
func TestReceiveWithoutPermissionToList(t *testing.T) {
	lost := func(reason v1alpha1.Reason, state v1alpha1.TaskState, digest string) error {
		l := leave(t, ended(reason, state, 3))
		l.tg.Status.Manifest = &v1alpha1.ManifestReference{URI: contract.ManifestURI(l.place()), SHA256: digest}
		_, err := l.receive(func(c *executor.Config) { c.Objects = refusing{} })
		return err
	}
	if err := lost(v1alpha1.ReasonNodeLost, v1alpha1.TaskFailed, ""); err != nil {
		t.Errorf("without a digest: %v", err)
	}
	if err := lost(v1alpha1.ReasonTaskError, v1alpha1.TaskFailed, sum(nil)); !errors.Is(err, executor.ErrManifestUnavailable) {
		t.Errorf("with a digest: %v", err)
	}
	if err := lost(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, ""); !errors.Is(err, executor.ErrManifestUnavailable) {
		t.Errorf("completed: %v", err)
	}
}

// refusing is a store that responds with 403 to every request.
type refusing struct{}

var _ results.ObjectReader = refusing{}

func (refusing) Open(context.Context, string, string) (io.ReadCloser, int64, error) {
	return nil, 0, &store.StatusError{Code: 403, Text: "AccessDenied"}
}

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestExecutorAtScale sends, polls and receives many groups at once, each poll in a
// goroutine of its own, and reads in the audit log what it took: a create for each group
// and one watch for all of them.
func TestExecutorAtScale(t *testing.T) {
	own := ownCluster(t)
	t.Run("many polls", func(t *testing.T) { manyPolls(t, own) })
	// The audit log has a watch when it ends.
	awaitWatches(t, own, manyPollsAgent)
	t.Run("a watch that is cut", func(t *testing.T) { cutWatch(t, own) })
	t.Run("a bridge that is killed", func(t *testing.T) { killedBridge(t, own) })
	server := apiServer(t, own)
	t.Run("an API server that is killed", func(t *testing.T) { killedServer(t, own, server) })
	// A server that is killed does not log the watch that it served: this is the second.
	wantLists(t, own, restartAgent, 1)
	t.Run("an API server that has forgotten", func(t *testing.T) { compactedServer(t, own, server) })
	wantLists(t, own, compactionAgent, 2)
	usedByDispatchers(t, own)
}

// manyPollsAgent is what manyPolls calls itself.
const manyPollsAgent = "executor-many-polls"

// awaitWatches waits until the audit log has a client's one watch.
func awaitWatches(t *testing.T, own *rig.Cluster, agent string) {
	t.Helper()
	err := rig.Await(t.Context(), "the watch's end in the audit log", func(context.Context) (bool, string, error) {
		counts := requestsBy(t, own, agent)
		return counts["watch"] > 0, fmt.Sprint(counts), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if counts := requestsBy(t, own, agent); counts["watch"] != 1 || counts["list"] > 1 {
		t.Errorf("the polls took %v requests", counts)
	}
}

func manyPolls(t *testing.T, own *rig.Cluster) {
	n := manyGroups(t)
	e := executorOf(t, own.Config, "default", manyPollsAgent)
	handles := sendAll(t, e, "many", n)
	before := heap()
	polled := make(chan executor.Result, n)
	for _, handle := range handles {
		go func() {
			outcome, err := e.Poll(t.Context(), handle)
			polled <- executor.Result{Outcome: outcome, Err: err}
		}()
	}
	// The first end reports that the watch runs, and all polls with it.
	endAll(t, own.Client, handles[:1])
	first := <-polled
	perPoll := (int(heap()) - int(before)) / n
	endAll(t, own.Client, handles[1:])
	results := []executor.Result{first}
	for range n - 1 {
		results = append(results, <-polled)
	}
	each(t, n, func(ctx context.Context, i int) error {
		if results[i].Err != nil {
			return results[i].Err
		}
		return receiveOne(ctx, e, results[i].Outcome, handles)
	})
	counts := requestsBy(t, own, manyPollsAgent)
	t.Logf("%d groups: %v requests, %d bytes of memory for each poll that waits", n, counts, perPoll)
	if counts["create"] != n || counts["get"] != 0 {
		t.Errorf("%d groups took %v requests", n, counts)
	}
	if perPoll > 16<<10 {
		t.Errorf("a poll that waits takes %d bytes", perPoll)
	}
}

// receiveOne receives a group that ended by endAll.
func receiveOne(ctx context.Context, e watchedExecutor, outcome executor.Outcome, handles []executor.Handle) error {
	for node := range handles {
		if handles[node].Name != outcome.Handle.Name {
			continue
		}
		_, _, metadata := group("many", contract.NodeID(node))
		updates, err := e.Receive(ctx, metadata, &outcome)
		if err != nil {
			return err
		}
		if updates[0].Status.Status != contract.TaskFailed || updates[0].Assets[contract.AssetError].Size == 0 {
			return fmt.Errorf("%w: %+v", errUnexpected, updates[0])
		}
	}
	return nil
}

// heap is what is in use, with the stacks.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
}

// cutWatch takes the API server away while groups are polled. One ends meanwhile,
// one is deleted, one ends afterwards.
func cutWatch(t *testing.T, own *rig.Cluster) {
	wire, config := cuttable(t, own)
	e := executorOf(t, config, "default", "executor-cut-watch")
	handles := sendAll(t, e, "cut", 4)
	endAll(t, own.Client, handles[3:])
	if _, err := e.Poll(t.Context(), handles[3]); err != nil {
		t.Fatal(err)
	}
	polled := make([]chan error, 3)
	for i := range polled {
		polled[i] = make(chan error, 1)
		go func() {
			_, err := e.Poll(t.Context(), handles[i])
			polled[i] <- err
		}()
	}
	wire.set(true)
	endAll(t, own.Client, handles[:1])
	deleted := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: handles[1].Name}}
	if err := own.Client.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	wire.set(false)
	if err := <-polled[0]; err != nil {
		t.Errorf("the group that ended meanwhile: %v", err)
	}
	if err := <-polled[1]; !cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) {
		t.Errorf("the group that was deleted meanwhile: %v", err)
	}
	endAll(t, own.Client, handles[2:3])
	if err := <-polled[2]; err != nil {
		t.Errorf("the group that ended afterwards: %v", err)
	}
}

// TestExecutorWithTheOperator goes the whole way, and counts the executor's requests.
func TestExecutorWithTheOperator(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	const agent = "executor-whole-way"
	e := executorOf(t, cluster.Config, ns, agent)
	tasks, resources, metadata := group("oom", 3)
	key := client.ObjectKey{Namespace: ns, Name: e.Handle(metadata).Name}
	behave(t, key, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}})
	handle, err := e.Send(t.Context(), tasks, resources, metadata)
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := e.Poll(t.Context(), handle)
	if err != nil || outcome.Reason != v1alpha1.ReasonOOMKilled {
		t.Fatalf("polled %+v, %v", outcome, err)
	}
	updates, err := e.Receive(t.Context(), metadata, &outcome)
	if err != nil {
		t.Fatal(err)
	}
	if updates[0].Status.Status != contract.TaskFailed || updates[0].Assets[contract.AssetError].RemoteURI == "" {
		t.Errorf("received %+v", updates)
	}
	// Sending again finds it, and another spec is refused.
	if again, err := e.Send(t.Context(), tasks, resources, metadata); err != nil || again != handle {
		t.Errorf("sent again: %+v, %v; want %+v", again, err, handle)
	}
	resources.Functions[3] = "file:///out/another"
	if _, err := e.Send(t.Context(), tasks, resources, metadata); !cmp.Equal(err, executor.ErrConflict, cmpopts.EquateErrors()) {
		t.Errorf("sent with another spec: %v", err)
	}
	t.Logf("send, poll and receive, then two sends that find it: %v requests", requestsBy(t, cluster, agent))
}

// TestExecutorExplainsARefusal: the API server's words about the field come through.
func TestExecutorExplainsARefusal(t *testing.T) {
	t.Parallel()
	e := executorOf(t, cluster.Config, namespace(t), "executor-refused")
	tasks, resources, metadata := group("refused", 3)
	resources.Functions[3] = "file:///../etc/passwd"
	_, err := e.Send(t.Context(), tasks, resources, metadata)
	if !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) {
		t.Errorf("got %v", err)
	}
	// The role is for one namespace.
	c, err := executor.NewClient(asDispatcher(t, cluster.Config, namespace(t)))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := executor.New(executor.Config{Options: executor.DefaultOptions(), Cluster: executor.NewCluster(executor.ClusterConfig{Client: c, Namespace: "default"})})
	if err != nil {
		t.Fatal(err)
	}
	tasks, resources, metadata = group("elsewhere", 3)
	if _, err := elsewhere.Send(t.Context(), tasks, resources, metadata); !cmp.Equal(err, executor.ErrForbidden, cmpopts.EquateErrors()) {
		t.Errorf("in another namespace: %v", err)
	}
}

// TestExecutorCancels a group that runs, by its handle and then without one.
func TestExecutorCancels(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	e := executorOf(t, cluster.Config, ns, "executor-cancels")
	for name, withHandle := range map[string]bool{"by-handle": true, "by-node": false} {
		tasks, resources, metadata := group(name, 5)
		behave(t, client.ObjectKey{Namespace: ns, Name: e.Handle(metadata).Name}, rig.Behaviour{Runs: true})
		handle, err := e.Send(t.Context(), tasks, resources, metadata)
		if err != nil {
			t.Fatal(err)
		}
		awaitReason(t, client.ObjectKey{Namespace: ns, Name: handle.Name}, v1alpha1.ReasonRunning)
		named := &handle
		if !withHandle {
			named = nil
		}
		for range 3 {
			accepted, err := e.Cancel(t.Context(), contract.TaskMetadata{DispatchID: name, NodeID: 5}, named)
			if !accepted || err != nil {
				t.Errorf("%s: %t, %v", name, accepted, err)
			}
		}
		if _, err := e.Poll(t.Context(), handle); !cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) {
			t.Errorf("%s: polled %v", name, err)
		}
		updates, err := e.Receive(t.Context(), metadata, nil)
		if err != nil || updates[0].Status.Status != contract.TaskCancelled {
			t.Errorf("%s: received %+v, %v", name, updates, err)
		}
	}
}

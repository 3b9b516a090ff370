// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// manyGroups is how many groups are polled at once: TASKGROUP_TEST_POLLS, or 2,000.
func manyGroups(t *testing.T) int {
	text, ok := os.LookupEnv("TASKGROUP_TEST_POLLS")
	if !ok {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ownCluster is a cluster without an operator: tests set how groups finish.
func ownCluster(t *testing.T) *rig.Cluster {
	t.Helper()
	own, err := rig.Start(t.Context(), "executor", "--control-plane-only", "--no-scheduler", "--audit")
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
	return own
}

// watchedExecutor is an executor whose watch can be ended.
type watchedExecutor struct {
	*executor.Executor
	*executor.Cluster
}

// executorOf is an executor of a namespace under the role of a dispatcher, whose
// requests have their own name in the audit log.
func executorOf(t *testing.T, admin *restclient.Config, namespace, agent string, change ...func(*executor.Config)) watchedExecutor {
	t.Helper()
	config := asDispatcher(t, admin, namespace)
	config.UserAgent = agent
	c, err := executor.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	watched := executor.NewCluster(executor.ClusterConfig{Client: c, Namespace: namespace})
	t.Cleanup(watched.Close)
	options := executor.DefaultOptions()
	options.CacheDir, options.Outputs = t.TempDir(), "file:///out"
	options.InfrastructureRetries = new(int32(0))
	options.Pod = &v1alpha1.PodOptions{
		Volumes:      []v1alpha1.Volume{{Name: "out", EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		VolumeMounts: []v1alpha1.VolumeMount{{Name: "out", MountPath: "/out"}},
	}
	made := executor.Config{Options: options, Cluster: watched}
	for _, f := range change {
		f(&made)
	}
	e, err := executor.New(made)
	if err != nil {
		t.Fatal(err)
	}
	return watchedExecutor{e, watched}
}

// group is one of a function in a dispatch of its own.
func group(dispatch string, node contract.NodeID) ([]contract.TaskSpec, contract.ResourceMap, contract.TaskGroupMetadata) {
	return []contract.TaskSpec{{ElectronID: node}},
		contract.ResourceMap{Functions: map[contract.NodeID]string{node: "file:///out/function"}},
		contract.TaskGroupMetadata{DispatchID: dispatch, NodeIDs: []contract.NodeID{node}, TaskGroupID: int64(node)}
}

// sendAll sends a group for each of n nodes.
func sendAll(t *testing.T, e watchedExecutor, dispatch string, n int) []executor.Handle {
	t.Helper()
	handles := make([]executor.Handle, n)
	each(t, n, func(ctx context.Context, i int) (err error) {
		tasks, resources, metadata := group(dispatch, contract.NodeID(i))
		handles[i], err = e.Send(ctx, tasks, resources, metadata)
		return err
	})
	return handles
}

// endAll plays the operator: each group finishes as OOMKilled.
func endAll(t *testing.T, c client.Client, handles []executor.Handle) {
	t.Helper()
	now := metav1.Now()
	each(t, len(handles), func(ctx context.Context, i int) error {
		var tg v1alpha1.TaskGroup
		if err := c.Get(ctx, client.ObjectKey{Namespace: handles[i].Namespace, Name: handles[i].Name}, &tg); err != nil {
			return err
		}
		tg.Status.Attempt = 1
		tg.Status.Tasks = []v1alpha1.TaskStatus{{NodeID: tg.Spec.Tasks[0].NodeID, State: v1alpha1.TaskFailed, Reason: "OOMKilled"}}
		tg.Status.Conditions = []metav1.Condition{
			{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionFalse, Reason: "OOMKilled", Message: "the memory limit was reached", LastTransitionTime: now},
			{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: "OOMKilled", LastTransitionTime: now},
		}
		return c.Status().Update(ctx, &tg)
	})
}

// each does something n times, sixteen at once.
func each(t *testing.T, n int, do func(context.Context, int) error) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	failures := make(chan error, n)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				if err := do(t.Context(), i); err != nil {
					failures <- err
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	close(failures)
	if err := <-failures; err != nil {
		t.Fatal(err)
	}
}

// requestsBy counts what a client requested, by verb.
func requestsBy(t *testing.T, c *rig.Cluster, agent string) map[string]int {
	t.Helper()
	requests, err := c.Requests()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i := range requests {
		if requests[i].UserAgent == agent {
			counts[requests[i].Verb]++
		}
	}
	return counts
}

// residentKiB is the memory of a process.
func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var size int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &size); err == nil {
			return size
		}
	}
	t.Fatal("the kernel does not tell the memory")
	return 0
}

// wire is a connection to the API server that can be cut.
type wire struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	cut      bool
	conns    map[net.Conn]struct{}
}

// cuttable returns a wire to a cluster and the configuration that goes through it.
func cuttable(t *testing.T, c *rig.Cluster) (*wire, *restclient.Config) {
	t.Helper()
	host, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, target: host.Host, conns: map[net.Conn]struct{}{}}
	go w.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		w.set(true)
	})
	config := restclient.CopyConfig(c.Config)
	config.Host = "https://" + listener.Addr().String()
	return w, config
}

// set cuts the wire, and keeps it cut, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if !cut {
		return
	}
	for conn := range w.conns {
		_ = conn.Close()
	}
	clear(w.conns)
}

func (w *wire) serve() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", w.target, 5*time.Second)
		w.mu.Lock()
		if err != nil || w.cut {
			_ = conn.Close()
			if server != nil {
				_ = server.Close()
			}
		} else {
			w.conns[conn], w.conns[server] = struct{}{}, struct{}{}
			go pipe(conn, server)
			go pipe(server, conn)
		}
		w.mu.Unlock()
	}
}

func pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errUnexpected = errors.New("unexpected")

// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/bridge"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// bridgeEnv makes this program a bridge: a process of its own that can be killed. The
// others are a host to call back, and the namespace to watch for it.
const (
	bridgeEnv          = "TASKGROUP_TEST_BRIDGE"
	bridgeHostsEnv     = "TASKGROUP_TEST_BRIDGE_HOSTS"
	bridgeNamespaceEnv = "TASKGROUP_TEST_BRIDGE_NAMESPACE"
)

func init() {
	listen, ok := os.LookupEnv(bridgeEnv)
	if !ok {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	options := bridge.Options{Listen: listen}
	if host, ok := os.LookupEnv(bridgeHostsEnv); ok {
		options.CallbackHosts = []string{host}
		options.CallbackClusters = []executor.ClusterSettings{{Kubeconfig: os.Getenv("KUBECONFIG"), Namespace: os.Getenv(bridgeNamespaceEnv)}}
	}
	if err := bridge.Run(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bridgeProcess is a bridge and a client of it.
type bridgeProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket string
	client *http.Client
}

func startBridge(t *testing.T, socket string, env ...string) *bridgeProcess {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(socket+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	b := &bridgeProcess{t: t, socket: socket, cmd: exec.Command(program)}
	b.cmd.Env = append(append(os.Environ(), bridgeEnv+"=unix://"+socket), env...)
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	b.start()
	return b
}

// start starts the program and waits until it serves.
func (b *bridgeProcess) start() {
	b.t.Helper()
	b.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
	}}}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	err := rig.Await(b.t.Context(), "the bridge to serve", func(context.Context) (bool, string, error) {
		response, err := b.client.Get("http://bridge/healthz")
		if err == nil {
			return response.StatusCode == http.StatusOK, response.Status, response.Body.Close()
		}
		return false, err.Error(), nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bridgeProcess) end(signal os.Signal) error {
	b.client.CloseIdleConnections()
	_ = b.cmd.Process.Signal(signal)
	return b.cmd.Wait()
}

// post sends a request; an error is the error of the connection, or of the executor.
func post[Response any](b *bridgeProcess, path string, request any) (*Response, error) {
	raw, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	response, err := b.client.Post("http://bridge"+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var failed bridge.ErrorResponse
		if err := json.NewDecoder(response.Body).Decode(&failed); err != nil {
			return nil, err
		}
		return nil, executor.ErrorOf(failed.Error.Code, failed.Error.Message)
	}
	var answer Response
	return &answer, json.NewDecoder(response.Body).Decode(&answer)
}

// killedBridge kills a bridge while it polls many groups. A client that starts it again and
// repeats the poll loses nothing.
func killedBridge(t *testing.T, own *rig.Cluster) {
	n := manyGroups(t)
	// Not t.TempDir: with the test's name it is too long for a socket.
	dir, err := os.MkdirTemp("", "bridge") //nolint:usetesting // as above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := startBridge(t, filepath.Join(dir, "s"))
	options := executor.DefaultOptions()
	options.Kubeconfig, options.Namespace, options.CacheDir, options.Outputs = dispatcherKubeconfig(t, own.Config, "default"), "default", t.TempDir(), "file:///out"
	handles := make([]executor.Handle, n)
	each(t, n, func(_ context.Context, i int) error {
		tasks, resources, metadata := group("killed", contract.NodeID(i))
		sent, err := post[bridge.HandleResponse](b, "/v1/send", bridge.SendRequest{Executor: options, TaskSpecs: tasks, Resources: resources, TaskGroupMetadata: metadata})
		if err == nil {
			handles[i] = sent.Handle
		}
		return err
	})
	idle := residentKiB(t, b.cmd.Process.Pid)
	poll := bridge.PollRequest{Executor: options, Handles: polled(handles), WaitSeconds: 120}
	broken := make(chan error, 1)
	go func() {
		_, err := post[bridge.PollResponse](b, "/v1/poll", poll)
		broken <- err
	}()
	// A second client's poll is answered in its time, so that the first one's waits.
	short := bridge.PollRequest{Executor: options, Handles: polled(handles[:1]), WaitSeconds: 1}
	if answer, err := post[bridge.PollResponse](b, "/v1/poll", short); err != nil || len(answer.Results) != 0 {
		t.Fatalf("a poll of what has not ended: %+v, %v", answer, err)
	}
	t.Logf("a bridge with one poll of %d groups: %d KiB, before it %d KiB", n, residentKiB(t, b.cmd.Process.Pid), idle)
	_ = b.end(syscall.SIGKILL)
	if err := <-broken; err == nil {
		t.Error("the poll outlived its bridge")
	}
	endAll(t, own.Client, handles)
	b = startBridge(t, b.socket)
	open := map[string]executor.Handle{}
	for _, handle := range handles {
		open[handle.Name] = handle
	}
	for deadline := time.Now().Add(time.Minute); len(open) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d groups are still polled", len(open))
		}
		poll.Handles = poll.Handles[:0:0]
		for _, handle := range open {
			poll.Handles = append(poll.Handles, bridge.PollHandle{Handle: handle})
		}
		answer, err := post[bridge.PollResponse](b, "/v1/poll", poll)
		if err != nil {
			t.Fatal(err)
		}
		for _, result := range answer.Results {
			if result.Error != nil || result.Reason != "OOMKilled" {
				t.Errorf("got %+v", result)
			}
			delete(open, result.Handle.Name)
		}
	}
	_, _, metadata := group("killed", 0)
	received, err := post[bridge.ReceiveResponse](b, "/v1/receive", bridge.ReceiveRequest{Executor: options, TaskGroupMetadata: metadata, Data: json.RawMessage(`{"detail":"anybody's"}`)})
	if err != nil || received.TaskUpdates[0].Status.Status != contract.TaskFailed {
		t.Errorf("received %+v, %v", received, err)
	}
	if err := b.end(syscall.SIGTERM); err != nil {
		t.Errorf("stopping: %v", err)
	}
	for verb, count := range requestsBy(t, own, "taskgroup-executor") {
		t.Logf("the bridges made %d %s requests", count, verb)
		if verb == "get" && count > 1 {
			t.Errorf("%d reads", count)
		}
	}
}

// polled are handles as a poll has them.
func polled(handles []executor.Handle) []bridge.PollHandle {
	polled := make([]bridge.PollHandle, 0, len(handles))
	for _, handle := range handles {
		polled = append(polled, bridge.PollHandle{Handle: handle})
	}
	return polled
}

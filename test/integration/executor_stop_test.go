// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/bridge"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestBridgeThatStops: when its dispatcher has terminated, groups that are to be cancelled
// then are, however the dispatcher went, and others continue. A bridge that is killed
// itself cancels nothing; the next one has what is polled again.
func TestBridgeThatStops(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end func(*bridgeProgram) error
		// next is whether another bridge polls the group, and is stopped.
		next, cancelled bool
	}{
		"is told to":                           {(*bridgeProgram).terminate, false, true},
		"loses the process that started it":    {(*bridgeProgram).hangUp, false, true},
		"is killed":                            {(*bridgeProgram).kill, false, false},
		"is killed, and the next one is asked": {(*bridgeProgram).kill, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			b := startBridgeProgram(t)
			options := executor.DefaultOptions()
			options.Kubeconfig, options.Namespace, options.Outputs = dispatcherKubeconfig(t, cluster.Config, ns), ns, "file:///out"
			handles := map[bool]executor.Handle{}
			for node, cancelOnStop := range map[contract.NodeID]bool{1: true, 2: false} {
				options.CancelOnStop, options.Dispatcher = cancelOnStop, "lab"
				tasks, resources, metadata := group("stops", node)
				behave(t, client.ObjectKey{Namespace: ns, Name: executor.Name("stops", int64(node))}, rig.Behaviour{Runs: true})
				sent, err := post[bridge.HandleResponse](b.bridgeProcess, "/v1/send", bridge.SendRequest{Executor: options, TaskSpecs: tasks, Resources: resources, TaskGroupMetadata: metadata})
				if err != nil {
					t.Fatal(err)
				}
				handles[cancelOnStop] = sent.Handle
			}
			key := func(cancelOnStop bool) client.ObjectKey {
				return client.ObjectKey{Namespace: ns, Name: handles[cancelOnStop].Name}
			}
			awaitReason(t, key(true), v1alpha1.ReasonRunning)
			awaitReason(t, key(false), v1alpha1.ReasonRunning)
			if err := tc.end(b); err != nil {
				t.Errorf("it ended with %v", err)
			}
			if tc.next {
				b = startBridgeProgram(t)
				options.CancelOnStop = true
				poll := bridge.PollRequest{Executor: options, Handles: []bridge.PollHandle{{Handle: handles[true]}}, WaitSeconds: 0.1}
				if answer, err := post[bridge.PollResponse](b.bridgeProcess, "/v1/poll", poll); err != nil || len(answer.Results) != 0 {
					t.Errorf("polled %+v, %v", answer, err)
				}
				if err := b.terminate(); err != nil {
					t.Errorf("it ended with %v", err)
				}
			}
			for cancelOnStop, want := range map[bool]bool{true: tc.cancelled, false: false} {
				var tg v1alpha1.TaskGroup
				if err := cluster.Client.Get(t.Context(), key(cancelOnStop), &tg); err != nil {
					t.Fatal(err)
				}
				if tg.Spec.Cancel != want {
					t.Errorf("with cancel_on_stop %t, spec.cancel is %t", cancelOnStop, tg.Spec.Cancel)
				}
			}
			// A user cancels the remaining groups.
			wantCLI(t, ns, 0, "cancel", "--dispatcher", "lab")
			awaitReason(t, key(true), v1alpha1.ReasonCancelled)
			awaitReason(t, key(false), v1alpha1.ReasonCancelled)
		})
	}
}

// bridgeProgram is `taskgroup executor --until-eof`, as the plugin starts it.
type bridgeProgram struct {
	*bridgeProcess
	stdin io.Closer
}

func startBridgeProgram(t *testing.T) *bridgeProgram {
	t.Helper()
	path, err := buildCLI()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "bridge") //nolint:usetesting // with the test's name it is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	b := &bridgeProgram{bridgeProcess: &bridgeProcess{t: t, socket: socket, cmd: exec.Command(path, "executor", "--until-eof", "--listen", "unix://"+socket)}}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if b.stdin, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	b.start()
	return b
}

func (b *bridgeProgram) terminate() error { return b.end(syscall.SIGTERM) }

// kill is no news to who does it.
func (b *bridgeProgram) kill() error {
	if err := b.end(syscall.SIGKILL); err == nil {
		return fmt.Errorf("%w: it ended well", errUnexpected)
	}
	return nil
}

// hangUp closes its standard input, as the end of its parent does.
func (b *bridgeProgram) hangUp() error {
	b.client.CloseIdleConnections()
	if err := b.stdin.Close(); err != nil {
		return err
	}
	return b.cmd.Wait()
}

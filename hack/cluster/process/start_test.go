// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestStartRecordAndEnd(t *testing.T) {
	dir := t.TempDir()
	running, err := Start(Spec{
		Name: "sleeper", Path: "/bin/sh", Args: []string{"-c", "echo hello; exec sleep 60"},
		Env: []string{"MARK=" + dir}, LogDir: dir, PIDDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	records, err := Records(dir)
	if err != nil || len(records) != 1 || !Host.IsRunning(records[0].Identity) {
		t.Fatalf("Records = %+v, %v; want the running sleeper", records, err)
	}
	printed := func() bool {
		log, err := os.ReadFile(running.Log)
		return err == nil && strings.Contains(string(log), "hello")
	}
	for deadline := time.Now().Add(10 * time.Second); !printed() && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	find := func() ([]Identity, error) { return Host.WithEnvironment("MARK=" + dir) }
	if err := Host.EndAll(find, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	<-running.Exited()
	if Host.IsRunning(records[0].Identity) {
		t.Error("the sleeper still runs after EndAll")
	}
	if !printed() {
		t.Error("the log does not have what the program printed")
	}
}

func TestCommandKeepsTheMountNamespace(t *testing.T) {
	spec := Spec{Path: "/bin/kubelet", Args: []string{"--v=2"}, Netns: "/run/netns/x"}
	got := strings.Join(spec.command(), " ")
	if want := "nsenter --net=/run/netns/x -- /bin/kubelet --v=2"; got != want {
		t.Errorf("command() = %q, want %q", got, want)
	}
}

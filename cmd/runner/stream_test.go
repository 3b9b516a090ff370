package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// stored is what the store has of a task's asset; empty where it has nothing.
func (p *pod) stored(node contract.NodeID, key contract.AssetKey) string {
	p.t.Helper()
	raw, err := os.ReadFile(strings.TrimPrefix(contract.AssetURI(p.plan.Outputs, node, key), "file://"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(raw)
}

// TestAStreamBeyondTheLimit keeps the head and the tail of 300 MB, and the runner
// small meanwhile.
func TestAStreamBeyondTheLimit(t *testing.T) {
	p := newPod(t, shell(1, "seq -f %09.0f 1 30000000"))
	end := p.run()
	record := end.manifest.Tasks[0]
	if record.State != contract.TaskCompleted {
		t.Fatalf("the task is %s: %s", record.State, record.Message)
	}
	const limit = 64 << 20
	got := p.stored(1, contract.AssetStdout)
	if size := int64(len(got)); size != record.Assets[contract.AssetStdout].Size || size < limit || size > limit+200 {
		t.Errorf("kept %d bytes, the manifest says %d, want %d and a line", size, record.Assets[contract.AssetStdout].Size, limit)
	}
	dropped := fmt.Sprintf("\n[taskgroup] %d bytes are left out here", 300_000_000-limit)
	if !strings.HasPrefix(got, "000000001\n") || !strings.HasSuffix(got, "\n030000000\n") || !strings.Contains(got, dropped) {
		t.Errorf("kept %.40q ... %q, want head, tail and %q", got, got[max(0, len(got)-40):], dropped)
	}
	if leftover, _ := filepath.Glob(filepath.Join(p.env["TASKGROUP_WORK"], "tasks", "*", "*.kept")); len(leftover) > 0 {
		t.Errorf("left %v", leftover)
	}
}

// TestWhatAKilledPodPrinted: the kernel kills the whole container, or the node is
// lost. What the task printed until a few seconds before is in the store.
func TestWhatAKilledPodPrinted(t *testing.T) {
	p := newPod(t, shell(1, "echo begun; echo careful >&2; exec sleep 60"))
	p.env["TASKGROUP_FLUSH_SECONDS"] = "0.05"
	runner := p.command()
	runner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for p.stored(1, contract.AssetStdout) != "begun\n" || p.stored(1, contract.AssetStderr) != "careful\n" {
		if time.Now().After(deadline) {
			t.Fatalf("the store has %q and %q", p.stored(1, contract.AssetStdout), p.stored(1, contract.AssetStderr))
		}
		time.Sleep(10 * time.Millisecond)
	}
	killTree(t, runner.Process.Pid)
	_ = runner.Wait()
	if _, err := os.Stat(strings.TrimPrefix(contract.ManifestURI(p.plan.Outputs), "file://")); !os.IsNotExist(err) {
		t.Errorf("a killed pod has committed: %v", err)
	}
}

// killTree kills a runner and its task, which has a process group of its own.
func killTree(t *testing.T, pid int) {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Log(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for child := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
}

// TestTheLastUploadWins: a stream that is uploaded while its task ends is whole.
func TestTheLastUploadWins(t *testing.T) {
	p := newPod(t, shell(1, "for i in $(seq 200); do echo line $i; done"))
	p.env["TASKGROUP_FLUSH_SECONDS"] = "0.0001"
	end := p.run()
	got := p.stored(1, contract.AssetStdout)
	if !strings.HasSuffix(got, "line 200\n") || int64(len(got)) != end.manifest.Tasks[0].Assets[contract.AssetStdout].Size {
		t.Errorf("the store has %d bytes that end with %q", len(got), got[max(0, len(got)-20):])
	}
}

// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
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

// segments returns what the store has of a stream whose task was running.
func (p *pod) segments(node contract.NodeID, key contract.AssetKey) string {
	p.t.Helper()
	var all strings.Builder
	for number := 1; ; number++ {
		raw, err := os.ReadFile(strings.TrimPrefix(contract.SegmentURI(p.plan.Outputs, node, key, number), "file://"))
		if os.IsNotExist(err) {
			return all.String()
		}
		if err != nil {
			p.t.Fatal(err)
		}
		all.Write(raw)
	}
}

// eventually waits until a condition holds; seen returns what holds instead.
func eventually(t *testing.T, condition func() bool, seen func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(seen())
		}
	}
}

// TestSegmentsOfAKilledPod: the kernel kills the whole container, or the node is lost.
// What the task wrote until a few seconds before is in the store, each byte once.
func TestSegmentsOfAKilledPod(t *testing.T) {
	p := newPod(t, shell(1, `echo begun; echo careful >&2; while ! test -e "$DIR/more"; do sleep 0.01; done; echo more; exec sleep 60`))
	p.env["TASKGROUP_FLUSH_SECONDS"], p.env["DIR"] = "0.05", t.TempDir()
	runner := p.command()
	runner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	seen := func() string {
		return fmt.Sprintf("the store has %q and %q", p.segments(1, contract.AssetStdout), p.segments(1, contract.AssetStderr))
	}
	stored := func(stdout string) func() bool {
		return func() bool {
			return p.segments(1, contract.AssetStdout) == stdout && p.segments(1, contract.AssetStderr) == "careful\n"
		}
	}
	eventually(t, stored("begun\n"), seen)
	touch(t, p.env["DIR"]+"/more")
	eventually(t, stored("begun\nmore\n"), seen)
	killTree(t, runner.Process.Pid)
	_ = runner.Wait()
	if _, err := os.Stat(strings.TrimPrefix(contract.ManifestURI(p.plan.Outputs), "file://")); !os.IsNotExist(err) {
		t.Errorf("a killed pod has committed: %v", err)
	}
	if p.stored(1, contract.AssetStdout) != "" {
		t.Error("the stream of a task that has not finished is stored under its final name")
	}
}

// TestSegmentsAreSentOnce: all segments together are not larger than the stream, and
// the store need not replace any object.
func TestSegmentsAreSentOnce(t *testing.T) {
	server, p := httpPod(t, `for i in $(seq 40); do seq -f %099.0f 1000; sleep 0.02; done`)
	p.env["TASKGROUP_FLUSH_SECONDS"] = "0.02"
	server.RefuseToReplace()
	e := p.runStored(server).expect(0, "C")
	stream, sum, number := int(e.task(1).Assets[contract.AssetStdout].Size), 0, 1
	for ; ; number++ {
		segment := server.Get(strings.TrimPrefix(contract.SegmentURI(p.plan.Outputs, 1, contract.AssetStdout, number), server.URL))
		if segment == nil {
			break
		}
		sum += len(segment)
	}
	if stream != 40*1000*100 || number < 3 || sum > stream {
		t.Errorf("%d segments with %d bytes of a stream of %d", number-1, sum, stream)
	}
}

// TestSegmentsThatTheStoreRefuses do not fail the task.
func TestSegmentsThatTheStoreRefuses(t *testing.T) {
	server, p := httpPod(t, `echo one; sleep 0.2; echo two`)
	p.env["TASKGROUP_FLUSH_SECONDS"] = "0.02"
	segment := strings.TrimPrefix(contract.SegmentURI(p.plan.Outputs, 1, contract.AssetStdout, 1), server.URL)
	server.Fail("PUT", segment, slices.Repeat([]faulty.Fault{faulty.Status(403)}, 50)...)
	e := p.runStored(server).expect(0, "C")
	if got := server.Get("/out/1/stdout"); string(got) != "one\ntwo\n" || e.message.Failure != nil {
		t.Errorf("stored %q, failure %+v", got, e.message.Failure)
	}
	tries := 0
	for _, request := range server.Requests() {
		if request == "PUT "+segment {
			tries++
		}
	}
	if tries != 1 {
		t.Errorf("a segment that was refused was sent %d times", tries)
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

// TestStreamsReplacedByTheTask: a FIFO in the place of a file must not block the runner.
func TestStreamsReplacedByTheTask(t *testing.T) {
	for file, want := range map[string]string{
		"stdout": "reading the task's stdout: it is not a regular file",
		"output": "what the command left at $TASKGROUP_OUTPUT is not a regular file",
	} {
		t.Run(file, func(t *testing.T) {
			p := newPod(t, shell(1, `path=$(dirname "$TASKGROUP_OUTPUT")/`+file+`; rm -f "$path"; mkfifo "$path"; echo begun`))
			if failure := p.run().expect(1, "F").message.Failure; failure.Message != want {
				t.Errorf("failure %+v, want %q", failure, want)
			}
		})
	}
}

// TestLogWithoutAReader: the pod's log is a pipe, whose reader has terminated.
func TestLogWithoutAReader(t *testing.T) {
	p := newPod(t, shell(1, "seq 100000"))
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	runner := p.command()
	runner.Stdout, runner.Stderr = write, write
	err = runner.Run()
	_ = write.Close()
	p.collect(err, "", "").expect(0, "C")
}

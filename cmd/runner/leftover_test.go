// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// daemon starts a process in a session of its own, which keeps the task's streams open
// and writes to them, and waits until it runs.
const daemon = `rm -f "$DIR/daemon"; setsid sh -c 'echo $$ > "$DIR/pid"; mv "$DIR/pid" "$DIR/daemon"; while :; do echo tick; sleep 0.02; done' &
while ! test -e "$DIR/daemon"; do sleep 0.01; done; `

// TestLeftoverProcesses: what a task leaves behind is terminated before the next task
// starts, whatever session it has, and does not delay the group.
func TestLeftoverProcesses(t *testing.T) {
	p := newPod(t,
		shell(1, daemon+"echo first"),
		shell(2, `if kill -0 "$(cat "$DIR/daemon")" 2>/dev/null; then echo "the daemon still runs"; exit 1; fi; echo second`))
	p.env["DIR"] = t.TempDir()
	began := time.Now()
	e := p.run().expect(0, "CC")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the group took %s", took)
	}
	if got := e.text(1, contract.AssetStdout); !strings.HasSuffix(strings.ReplaceAll(got, "tick\n", ""), "first\n") {
		t.Errorf("the first task wrote %q", got)
	}
	if got := e.text(2, contract.AssetStdout); got != "second\n" {
		t.Errorf("the second task wrote %q", got)
	}
}

// TestLeftoverProcessesAfterADeadline, and after SIGTERM to the pod: the results of
// earlier tasks are committed in time.
func TestLeftoverProcessesAfterADeadline(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		p := newPod(t, shell(1, "echo first"), shell(2, daemon+"exec sleep 60"))
		p.env["DIR"], p.plan.TaskSeconds = t.TempDir(), 1
		began := time.Now()
		e := p.run().expect(1, "CF")
		if took := time.Since(began); took > 15*time.Second || e.manifest == nil {
			t.Errorf("the group took %s, manifest %v", took, e.manifest)
		}
		wantTerminated(t, p)
	})
	t.Run("SIGTERM", func(t *testing.T) {
		p := newPod(t, shell(1, "echo first"), shell(2, daemon+`echo ready; trap "" TERM; while :; do sleep 1; done`))
		p.env["DIR"], p.env["TASKGROUP_GRACE_SECONDS"] = t.TempDir(), "6"
		began := time.Now()
		e := p.interrupt(syscall.SIGTERM).expect(143, "CX")
		if took := time.Since(began); took > 8*time.Second || e.manifest == nil {
			t.Errorf("the pod took %s, manifest %v", took, e.manifest)
		}
		wantTerminated(t, p)
	})
}

func wantTerminated(t *testing.T, p *pod) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.env["DIR"], "daemon"))
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err != nil || processExists(pid) {
		t.Errorf("the daemon still runs: %d, %v", pid, err)
	}
}

// TestAFailedGroupStopsFetching: a task fails while the inputs of later tasks are being
// fetched from a store that does not deliver them.
func TestAFailedGroupStopsFetching(t *testing.T) {
	server, p := httpPod(t, "exit 3")
	p.plan.Tasks[0].Args = nil
	p.plan.Tasks = append(p.plan.Tasks, reading(shell(2, "true"), 9))
	server.Fail("GET", "/in", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
	p.env["TASKGROUP_STORE_RETRY_SECONDS"], p.env["TASKGROUP_STORE_STALL_SECONDS"] = "60", "60"
	began := time.Now()
	p.run().expect(1, "FX")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the group took %s", took)
	}
}

// TestFilesOfThePodAreRemoved: what the store has, and no later task reads, does not
// occupy the disk of the node.
func TestFilesOfThePodAreRemoved(t *testing.T) {
	server, p := httpPod(t, `cat "$TASKGROUP_INPUT_9" > "$TASKGROUP_OUTPUT"`)
	p.plan.Tasks = append(p.plan.Tasks, reading(shell(2, `cat "$TASKGROUP_INPUT_1"; stat -c %a "$TASKGROUP_INPUT_1"; echo "$TASKGROUP_INPUT_1" > "$DIR/output"`), 1),
		shell(3, `find "$TASKGROUP_DIR/../.." "$TASKGROUP_DIR/../../../inputs" -type f | sort > "$DIR/files"; cat "$DIR/output"`))
	p.env["DIR"] = t.TempDir()
	e := p.runStored(server).expect(0, "CCC")
	if got := e.text(2, contract.AssetStdout); got != "from the store444\n" {
		t.Errorf("the second task read %q; a task must not change the output of another one", got)
	}
	files, _ := os.ReadFile(p.env["DIR"] + "/files")
	for line := range strings.Lines(string(files)) {
		if !strings.Contains(line, "/tasks/2/") {
			t.Errorf("a file of an earlier task or an input was left: %s", line)
		}
	}
}

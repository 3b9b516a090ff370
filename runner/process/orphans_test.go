// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"bufio"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

// orphansOf runs a script that prints the PIDs of processes that it leaves behind, and
// returns them.
func orphansOf(t *testing.T, script string) []int {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	p := start(t, shell(script, write))
	_ = write.Close()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if exit := p.Exit(); !exit.Success() {
		t.Fatalf("the script failed: %+v", exit)
	}
	var pids []int
	for field := range strings.FieldsSeq(line) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestKillOrphans(t *testing.T) {
	// leave starts a script in a session of its own, and prints its PID once it has one.
	const leave = `leave() { setsid sh -c "echo \$\$; exec >&-; $1" & }; `
	tests := map[string]string{
		"a session of its own":          leave + `echo $(leave "exec sleep 60")`,
		"several":                       leave + `echo $(leave "exec sleep 60") $(leave "exec sleep 60")`,
		"one with children of its own":  leave + `echo $(leave "setsid sleep 60 & setsid sleep 60 & wait")`,
		"one that ignores SIGTERM":      leave + `echo $(leave "trap '' TERM HUP INT; exec sleep 60")`,
		"one that always starts others": leave + `echo $(leave "while :; do setsid sleep 60 & sleep 0.001; done")`,
		"one that was stopped":          leave + `pid=$(leave "exec sleep 60"); kill -STOP $pid; echo $pid`,
		"none":                          `echo`,
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			kept := start(t, process.Spec{Argv: []string{"sleep", "60"}, Env: env(), Dir: "/"})
			defer func() {
				kept.Signal(unix.SIGKILL)
				<-kept.Done()
			}()
			orphans := orphansOf(t, script)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := reaper.KillOrphans(ctx); err != nil {
				t.Fatal(err)
			}
			for _, pid := range orphans {
				if err := unix.Kill(pid, 0); err == nil {
					t.Errorf("process %d still exists", pid)
				}
			}
			if left := process.ChildrenByParent("/proc", os.Getpid()); !slices.Equal(left, []int{kept.Pid}) {
				t.Errorf("children %v, want only %d, which was started on purpose", left, kept.Pid)
			}
		})
	}
}

func TestKillOrphansIsBounded(t *testing.T) {
	orphansOf(t, `echo $(setsid sh -c 'echo $$; exec sleep 60 >&-' &)`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The first list has the orphan, whether or not it terminates in time for another one.
	if err := reaper.KillOrphans(ctx); err == nil || !strings.Contains(err.Error(), "do not terminate") {
		t.Errorf("error %v", err)
	}
	if err := reaper.KillOrphans(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestChildrenWithoutListsOfTheKernel(t *testing.T) {
	child := start(t, process.Spec{Argv: []string{"sleep", "60"}, Env: env(), Dir: "/"})
	defer func() {
		child.Signal(unix.SIGKILL)
		<-child.Done()
	}()
	if got := process.ChildrenByParent("/proc", os.Getpid()); !slices.Contains(got, child.Pid) {
		t.Errorf("children %v lack %d", got, child.Pid)
	}
}

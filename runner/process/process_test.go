// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

// reaper is the one of this test program, which starts its children through it
// alone.
var reaper *process.Reaper

func TestMain(m *testing.M) {
	var err error
	if reaper, err = process.NewReaper(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func env() []string { return []string{"PATH=" + os.Getenv("PATH")} }

func shell(script string, files ...*os.File) process.Spec {
	return process.Spec{Argv: []string{"sh", "-c", script}, Env: env(), Dir: "/", Files: append([]*os.File{nil}, files...)}
}

func start(t *testing.T, spec process.Spec) *process.Process {
	t.Helper()
	p, err := reaper.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExit(t *testing.T) {
	tests := map[string]struct {
		script string
		want   process.Exit
		status int32
	}{
		"success": {"exit 0", process.Exit{}, 0},
		"code":    {"exit 3", process.Exit{Code: 3}, 3},
		"255":     {"exit 255", process.Exit{Code: 255}, 255},
		"SIGTERM": {"kill $$", process.Exit{Signal: syscall.SIGTERM}, 143},
		"SIGKILL": {"kill -9 $$", process.Exit{Signal: syscall.SIGKILL}, 137},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := start(t, shell(test.script)).Exit()
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(process.Exit{}, "PeakMemoryBytes", "CPU")); diff != "" {
				t.Error(diff)
			}
			if got.Status() != test.status || got.Success() != (test.status == 0) || got.PeakMemoryBytes < 4096 {
				t.Errorf("status %d, %+v", got.Status(), got)
			}
		})
	}
}

func TestEveryExitGoesToItsProcess(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			p, err := reaper.Start(shell("exit " + strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
			} else if got := p.Exit().Code; got != i {
				t.Errorf("exit code %d, want %d", got, i)
			}
		})
	}
	wg.Wait()
}

func TestChildrenEndWithTheProcess(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, shell("sleep 60 & sleep 60 & echo started", w))
	_ = w.Close()
	p.Exit()
	// The pipe ends only when the last of the group has terminated, and those sleep for longer.
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(r)
	count := 0
	for lines.Scan() {
		count++
	}
	if count != 1 || lines.Err() != nil {
		t.Errorf("%d lines, %v", count, lines.Err())
	}
}

func TestOrphansAreReaped(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// The grandchild leaves group and session, loses its parent, and ends.
	start(t, shell("setsid sh -c 'read x; echo $$' </dev/null & exit 0", w)).Exit()
	_ = w.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		pid := lines.Text()
		// Its end closes the pipe; until the reaper has run it is a zombie.
		for range 1_000_000 {
			if _, err := os.Stat("/proc/" + pid); err != nil {
				return
			}
		}
		t.Fatalf("process %s is still there", pid)
	}
}

func TestSignalReachesTheGroup(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, shell("sleep 60 & echo ready; wait", w))
	_ = w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	p.Signal(syscall.SIGTERM)
	if got := p.Exit(); got.Signal != syscall.SIGTERM {
		t.Errorf("exit %+v", got)
	}
	p.Signal(syscall.SIGTERM)
}

// TestTerminatedBeforeItIsCollected distinguishes a process that runs from one that
// terminated, in the interval in which Done is still open.
func TestTerminatedBeforeItIsCollected(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, process.Spec{Argv: []string{"cat"}, Env: env(), Dir: "/", Files: []*os.File{r, nil, nil}})
	_ = r.Close()
	if p.Terminated() {
		t.Error("a process that runs is reported as terminated")
	}
	release := reaper.Hold()
	_ = w.Close()
	if err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Error(err)
	}
	terminated := p.Terminated()
	select {
	case <-p.Done():
		t.Error("the process was collected")
	default:
	}
	release()
	p.Exit()
	if !terminated || !p.Terminated() {
		t.Errorf("Terminated is %t before and %t after the process was collected", terminated, p.Terminated())
	}
}

func TestStartSetsUpTheProcess(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := start(t, process.Spec{
		Argv: []string{"sh", "-c", `pwd; echo "$A"; readlink /proc/$$/fd/0; ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat; cat <&3`},
		Env:  append(env(), "A=ü"), Dir: dir, Files: []*os.File{nil, w, nil, nil},
	})
	_ = w.Close()
	var got []string
	for lines := bufio.NewScanner(r); lines.Scan(); {
		got = append(got, strings.TrimSpace(lines.Text()))
	}
	if diff := cmp.Diff([]string{dir, "ü", "/dev/null", strconv.Itoa(p.Pid)}, got); diff != "" {
		t.Error(diff)
	}
	p.Exit()
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "garbage": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\x7fELF"), mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		argv []string
		path string
		want error
	}{
		"nothing":                {nil, "", process.ErrNotFound},
		"empty name":             {[]string{""}, "/bin", process.ErrNotFound},
		"not in PATH":            {[]string{"no-such-command"}, "/bin:/usr/bin", process.ErrNotFound},
		"no PATH":                {[]string{"sh"}, "", process.ErrNotFound},
		"PATH of this directory": {[]string{"plain"}, ".:", process.ErrNotFound},
		"not executable in PATH": {[]string{"plain"}, dir, process.ErrNotExecutable},
		"directory in PATH":      {[]string{filepath.Base(dir)}, filepath.Dir(dir), process.ErrNotExecutable},
		"missing path":           {[]string{"./absent"}, "", process.ErrNotFound},
		"no program":             {[]string{"./garbage"}, "", process.ErrNotExecutable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := reaper.Start(process.Spec{Argv: test.argv, Env: []string{"PATH=" + test.path}, Dir: dir})
			if !errors.Is(err, test.want) {
				t.Errorf("Start = %v, %v; want %v", p, err, test.want)
			}
		})
	}
	if _, err := reaper.Start(process.Spec{Argv: []string{"sh"}, Env: env(), Dir: dir + "/absent"}); err == nil {
		t.Error("a process was started in a directory that does not exist")
	}
}

// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

// killer is a store that kills the runner after it has served a number of requests,
// and serves no later one.
type killer struct {
	store *faulty.Store
	after int
	kill  func()

	mu     sync.Mutex
	served int
}

func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.served >= k.after {
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	k.store.ServeHTTP(answer, r)
	if k.served++; k.served == k.after {
		k.kill()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(answer.Code)
}

// uncommitted is the pod of the attempt that follows one without a manifest.
func (p *pod) uncommitted(server string) *pod {
	n := p.fresh("attempt-" + strconv.Itoa(int(p.plan.Attempt)+1))
	n.plan.Uncommitted = append(n.plan.Uncommitted, p.plan.Attempt)
	n.plan.Attempt++
	n.plan.Outputs = contract.AttemptURI(server+"/out", p.plan.UID, n.plan.Attempt)
	return n
}

// TestKilledAfterEveryRequest: the runner is killed after each of its requests to the
// store. The next attempt runs exactly the tasks that have no checkpoint.
func TestKilledAfterEveryRequest(t *testing.T) {
	resumed := map[int]bool{}
	for after := 1; ; after++ {
		finished := false
		t.Run(strconv.Itoa(after), func(t *testing.T) { finished = killedAfter(t, after, resumed) })
		if finished {
			break
		}
		if after > 100 {
			t.Fatal("the runner does not finish")
		}
	}
	for tasks := range 3 {
		if !resumed[tasks] {
			t.Errorf("no attempt resumed after %d tasks: %v", tasks, resumed)
		}
	}
}

// killedAfter reports whether the runner finished with fewer requests.
func killedAfter(t *testing.T, after int, resumed map[int]bool) (finished bool) {
	t.Helper()
	store := faulty.New(t)
	script := `echo %[1]d >> "$DIR/ran-$TASKGROUP_ATTEMPT"; printf %[1]d > "$TASKGROUP_OUTPUT"`
	p := newPod(t, shell(1, fmt.Sprintf(script, 1)), shell(2, fmt.Sprintf(script, 2)),
		reading(shell(3, `echo 3 >> "$DIR/ran-$TASKGROUP_ATTEMPT"; cat "$TASKGROUP_INPUT_1" "$TASKGROUP_INPUT_2" > "$TASKGROUP_OUTPUT"`), 1, 2))
	p.env["DIR"], p.env["TASKGROUP_STORE_RETRY_SECONDS"], p.env["TASKGROUP_CHECKPOINT_SECONDS"] = t.TempDir(), "2", "0.000001"
	runner := p.command()
	k := &killer{store: store, after: after, kill: func() { killTree(t, runner.Process.Pid) }}
	server := httptest.NewServer(k)
	defer server.Close()
	p.plan.Attempt, p.plan.Outputs = 1, contract.AttemptURI(server.URL+"/out", p.plan.UID, 1)
	*runner = *p.command()
	runner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	if runner.Wait() == nil {
		return true
	}
	// A checkpoint may have the records of both tasks.
	done := 0
	for number := 1; ; number++ {
		raw := store.Get(strings.TrimPrefix(contract.CheckpointURI(p.plan.Outputs, number), server.URL))
		if raw == nil {
			break
		}
		c, err := contract.DecodeCheckpoint(raw, p.plan.UID, 1, number)
		if err != nil {
			t.Fatal(err)
		}
		done += len(c.Tasks)
	}
	next := p.uncommitted(store.URL)
	// The objects of the first attempt are at the other address of the same store.
	rewrite(store, server.URL)
	e := next.run().expect(0, "CCC")
	ran, _ := os.ReadFile(p.env["DIR"] + "/ran-2")
	if want := "1\n2\n3\n"[2*done:]; string(ran) != want {
		t.Errorf("after %d checkpoints, the next attempt ran %q, want %q", done, ran, want)
	}
	if got := read(t, e.task(3).Assets[contract.AssetOutput].URI); string(got) != "12" {
		t.Errorf("the third task read %q", got)
	}
	resumed[done] = true
	return false
}

// rewrite changes the address of the objects that checkpoints name.
func rewrite(store *faulty.Store, from string) {
	for _, request := range store.Requests() {
		path := strings.Fields(request)[1]
		if raw := store.Get(path); strings.Contains(path, "/checkpoints/") && raw != nil {
			store.Set(path, []byte(strings.ReplaceAll(string(raw), from, store.URL)))
		}
	}
}

// TestCheckpointsOfSeveralAttempts: each attempt was killed after another task, and
// none has a manifest.
func TestCheckpointsOfSeveralAttempts(t *testing.T) {
	dir := t.TempDir()
	killed := func(p *pod, until contract.NodeID) *pod {
		t.Helper()
		p.env["TASKGROUP_CHECKPOINT_SECONDS"] = "0.000001"
		runner := p.command()
		runner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := runner.Start(); err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(contract.CheckpointURI(p.plan.Outputs, 1), "file://")
		eventually(t, func() bool {
			_, err := os.Stat(path)
			ran, _ := os.ReadFile(dir + "/ran")
			return err == nil && strings.HasSuffix(string(ran), (until+1).String()+"\n")
		}, func() string { return "there is no checkpoint after task " + until.String() })
		killTree(t, runner.Process.Pid)
		_ = runner.Wait()
		return p.uncommitted("file://" + p.dir)
	}
	p := newPod(t, shell(1, `echo 1 >> "$DIR/ran"`),
		shell(2, `echo 2 >> "$DIR/ran"; test $TASKGROUP_ATTEMPT != 1 || exec sleep 60`),
		shell(3, `echo 3 >> "$DIR/ran"; test $TASKGROUP_ATTEMPT != 2 || exec sleep 60`),
		shell(4, `echo 4 >> "$DIR/ran"`)).attempt(1)
	p.env["DIR"] = dir
	p = killed(p, 1)
	p = killed(p, 2)
	e := p.run().expect(0, "CCCC")
	if ran, _ := os.ReadFile(dir + "/ran"); string(ran) != "1\n2\n2\n3\n3\n4\n" {
		t.Errorf("tasks ran in the order %q", ran)
	}
	for _, want := range []string{"task 1: completed in attempt 1\n", "task 2: completed in attempt 2\n"} {
		if !strings.Contains(e.stderr, want) {
			t.Errorf("the log lacks %q:\n%s", want, e.stderr)
		}
	}
	// A manifest makes the checkpoints unnecessary for later attempts.
	next := p.next(e)
	next.plan.Uncommitted = nil
	next.run().expect(0, "CCCC")
}

// TestCheckpointsThatCannotBeUsed: their tasks run again.
func TestCheckpointsThatCannotBeUsed(t *testing.T) {
	valid := `{"version":1,"uid":"uid-1","attempt":1,"number":1,"tasks":[{"nodeID":1,"state":"COMPLETED"}]}`
	tests := map[string]struct {
		content string
		ran     bool
	}{
		"valid":         {valid, false},
		"empty":         {"", true},
		"half":          {valid[:20], true},
		"another group": {strings.Replace(valid, "uid-1", "uid-2", 1), true},
		"failed":        {strings.Replace(valid, "COMPLETED", "FAILED", 1), true},
		"too large":     {valid + strings.Repeat(" ", contract.MaxCheckpoint), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, shell(1, `touch "$DIR/ran"`), shell(2, "true")).attempt(1)
			p.env["DIR"] = t.TempDir()
			path := strings.TrimPrefix(contract.CheckpointURI(p.plan.Outputs, 1), "file://")
			if err := os.MkdirAll(path[:strings.LastIndex(path, "/")], 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			e := p.uncommitted("file://"+p.dir).run().expect(0, "CC")
			if _, err := os.Stat(p.env["DIR"] + "/ran"); (err == nil) != test.ran {
				t.Errorf("the task ran: %t, want %t\n%s", err == nil, test.ran, e.stderr)
			}
			if warned := strings.Contains(e.stderr, "a checkpoint of attempt 1 cannot be used"); warned != test.ran {
				t.Errorf("the log is %q", e.stderr)
			}
		})
	}
}

// TestCheckpointsOfShortTasks: tasks that complete within the interval share one
// checkpoint, which is written when the interval is over.
func TestCheckpointsOfShortTasks(t *testing.T) {
	p := newPod(t, shell(1, "true"), shell(2, "true"), shell(3, "true"), shell(4, `while ! test -e "$DIR/stop"; do sleep 0.01; done`), shell(5, "true")).attempt(1)
	p.env["DIR"], p.env["TASKGROUP_CHECKPOINT_SECONDS"] = t.TempDir(), "0.5"
	finish := p.start()
	read := func(number int) *contract.Checkpoint {
		raw, err := os.ReadFile(strings.TrimPrefix(contract.CheckpointURI(p.plan.Outputs, number), "file://"))
		if err != nil {
			return nil
		}
		c, err := contract.DecodeCheckpoint(raw, p.plan.UID, 1, number)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	eventually(t, func() bool { return read(1) != nil && read(2) != nil }, func() string { return "there are no two checkpoints" })
	touch(t, p.env["DIR"]+"/stop")
	finish().expect(0, "CCCCC")
	// The first one is written at once.
	if first, second := read(1), read(2); len(first.Tasks)+len(second.Tasks) != 3 || len(second.Tasks) < 1 {
		t.Errorf("checkpoints of %d and %d tasks, want 3 in all", len(first.Tasks), len(second.Tasks))
	}
}

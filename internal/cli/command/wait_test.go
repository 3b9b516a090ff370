// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestExitCodesOfWait(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		said string
	}{
		"one that completed":                         {[]string{"commands"}, exitDone, "commands: Completed 2/2: All 2 tasks completed"},
		"one that failed, and one cancelled":         {[]string{"cancelled", "too-much-memory"}, exitFailed, "next: give it more memory"},
		"one that completed, and one cancelled":      {[]string{"commands", "cancelled"}, exitCancelled, "cancelled: Cancelled 0/1"},
		"one that runs, until it runs":               {[]string{"demo-run", "--for", "Running"}, exitDone, "demo-run: Running 0/2"},
		"one that failed, until it fails":            {[]string{"too-much-memory", "--for=failed"}, exitDone, "OOMKilled"},
		"one that failed, until it completes":        {[]string{"too-much-memory", "--for=condition=Succeeded"}, exitFailed, "OOMKilled"},
		"one that completed, until it fails":         {[]string{"commands", "--for=failed"}, exitFailed, "Completed"},
		"one that completed, until it ran":           {[]string{"commands", "--for=running"}, exitDone, "Completed"},
		"one that runs, for a moment":                {[]string{"demo-run", "--timeout=1ms"}, exitTimeout, "demo-run is Running"},
		"one that completed, until it is OOM-killed": {[]string{"commands", "--for=oomkilled"}, exitFailed, "Completed"},
		"one that completed, until a task fails":     {[]string{"commands", "--for=TaskError"}, exitFailed, "Completed"},
		"one that completed, until it is evicted":    {[]string{"commands", "--for=evicted"}, exitFailed, "Completed"},
		"one that completed, until it is suspended":  {[]string{"commands", "--for=suspended"}, exitFailed, "Completed"},
		"one that completed, until it is cancelling": {[]string{"commands", "--for=cancelling"}, exitFailed, "Completed"},
		"one that completed, until it was queued":    {[]string{"commands", "--for=queued"}, exitDone, "Completed"},
		"all that there are, for a moment":           {[]string{"--all", "--timeout=1ms"}, exitTimeout, "needs-ssd is Queued"},
		"one that is not there":                      {[]string{"comands"}, exitUnknown, `did you mean "commands"?`},
		"labels that nothing has":                    {[]string{"-l", "a=b"}, exitUnknown, "no such groups"},
		"nobody":                                     {nil, exitUsage, "say which groups"},
		"both by name and all":                       {[]string{"commands", "--all"}, exitUsage, "say which groups"},
		"a state that is none":                       {[]string{"commands", "--for=bored"}, exitUsage, `"bored" is no state`},
		"less than no time":                          {[]string{"commands", "--timeout=-1s"}, exitUsage, "--timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, samples()...)
			b.want(tc.code, append([]string{"wait"}, tc.args...)...)
			if !strings.Contains(b.err.String(), tc.said) {
				t.Errorf("%q is not in\n%s", tc.said, b.err.String())
			}
			if b.out.Len() > 0 {
				t.Errorf("progress is on standard output: %s", b.out.String())
			}
		})
	}
}

// onWatch does something once a watch exists.
func onWatch(do func(client.WithWatch)) interceptor.Funcs {
	return interceptor.Funcs{Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (w watch.Interface, err error) {
		if w, err = c.Watch(ctx, list, opts...); err == nil {
			go do(c)
		}
		return w, err
	}}
}

// become writes a status as the operator does.
func become(t *testing.T, c client.WithWatch, like *v1alpha1.TaskGroup) {
	var tg v1alpha1.TaskGroup
	if err := c.Get(context.Background(), client.ObjectKeyFromObject(like), &tg); err != nil {
		t.Error(err)
		return
	}
	tg.Status = like.Status
	if err := c.Status().Update(context.Background(), &tg); err != nil {
		t.Error(err)
	}
}

func TestWaitSeesTheEnd(t *testing.T) {
	b := newBenchWith(t, onWatch(func(c client.WithWatch) { become(t, c, testkit.CompletedSample("g")) }), testkit.RunningSample("g"))
	b.want(exitDone, "wait", "g")
	want := "g: Running 0/2: Pod g-1 runs on node node-1\ng: Completed 2/2: All 2 tasks completed\n"
	if got := b.err.String(); got != want {
		t.Errorf("said\n%swant\n%s", got, want)
	}
}

// TestDeletedIsCancelled: deleting a group deletes all of it.
func TestDeletedIsCancelled(t *testing.T) {
	b := newBenchWith(t, onWatch(func(c client.WithWatch) {
		if err := c.Delete(context.Background(), testkit.RunningSample("g")); err != nil {
			t.Error(err)
		}
	}), testkit.RunningSample("g"))
	b.want(exitCancelled, "wait", "g")
}

// TestWaitOutlivesAWatch, and what a server answers that lost its history.
func TestWaitOutlivesAWatch(t *testing.T) {
	watches := 0
	b := newBenchWith(t, interceptor.Funcs{Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
		watches++
		if watches == 1 {
			become(t, c, testkit.CompletedSample("g"))
			return nil, apierrors.NewResourceExpired("too old")
		}
		return c.Watch(ctx, list, opts...)
	}}, testkit.RunningSample("g"))
	b.want(exitDone, "wait", "g")
}

// TestBarsOnATerminal reads what a user would see.
func TestBarsOnATerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 10, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	b := newBenchWith(t, onWatch(func(c client.WithWatch) { become(t, c, testkit.CompletedSample("g")) }), testkit.RunningSample("g"), testkit.OOMKilledSample("other"))
	seen := make(chan string)
	go func() { seen <- readTerminal(master) }()
	config := b.config(&b.out)
	config.Err = slave
	code := Run(t.Context(), config, []string{"wait", "--all"})
	if code != exitFailed {
		t.Errorf("ended with %d", code)
	}
	_ = slave.Close()
	text := <-seen
	for _, want := range []string{
		"g      ░░░░░░░░░░░░░░░░░░░░     0/2  Running       60s\x1b[K",
		"other  ██████░░░░░░░░░░░░░░     1/3  OOMKilled     20s     Task 1: OOM-killed: …\x1b[K",
		"\x1b[2A\rg      ████████████████████     2/2  Completed     9.0s\x1b[K",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%q", want, text)
		}
	}
}

// readTerminal reads until the other end is closed.
func readTerminal(master *os.File) string {
	var text strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := master.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			return strings.ReplaceAll(text.String(), "\r\n", "\n")
		}
	}
}

// TestTimesGoOnOnATerminal though nothing changes in the cluster.
func TestTimesGoOnOnATerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	defer master.Close()
	t.Setenv("TERM", "xterm")
	b := newBench(t, testkit.RunningSample("g"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config := b.config(&b.out)
	config.Err = slave
	ended := make(chan int)
	go func() { ended <- Run(ctx, config, []string{"wait", "g"}) }()
	seen := make(chan string, 64)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			if err != nil {
				close(seen)
				return
			}
			seen <- string(buffer[:n])
		}
	}()
	await := func(what string) {
		for text := range seen {
			if strings.Contains(text, what) {
				return
			}
			if b.clock.HasWaiters() {
				b.clock.Step(time.Second)
			}
		}
		t.Errorf("%q was never shown", what)
	}
	await("60s")
	b.clock.Step(time.Hour)
	await("61m")
	cancel()
	if code := <-ended; code != exitInterrupted {
		t.Errorf("an interrupted wait ended with %d", code)
	}
	await("interrupted")
	_ = slave.Close()
}

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/creack/pty"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestTopOnce(t *testing.T) {
	b := newBench(t, samples()...)
	b.want(exitDone, "top", "-A")
	golden(t, "top.txt", b.out.String())
}

// TestTopLeavesTheTerminalAsItWas on Ctrl-C too.
func TestTopLeavesTheTerminalAsItWas(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	defer master.Close()
	t.Setenv("TERM", "xterm")
	b := newBench(t, testkit.RunningSample("g"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	shown := make(chan string)
	go func() {
		var text strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			text.Write(buffer[:n])
			if strings.Contains(text.String(), "Running 1") {
				cancel()
			}
			if err != nil {
				shown <- text.String()
				return
			}
		}
	}()
	if code := Run(ctx, b.config(slave), []string{"top"}); code != exitInterrupted {
		t.Errorf("ended with %d: %s", code, b.err.String())
	}
	_ = slave.Close()
	text := <-shown
	if !strings.HasPrefix(text, otherScreen) || !strings.HasSuffix(text, firstScreen) {
		t.Errorf("the screen is %q", text)
	}
}

func TestTimelineOfGroups(t *testing.T) {
	b := newBench(t, samples()...)
	b.want(exitDone, "timeline", "commands", "too-much-memory")
	golden(t, "timeline.txt", b.out.String())
	for format, begin := range map[string]string{"svg": "<svg ", "html": "<!doctype html>"} {
		b.want(exitDone, "timeline", "--all", "-o", format)
		if !strings.HasPrefix(b.out.String(), begin) || !strings.Contains(b.out.String(), "too-much-memory") {
			t.Errorf("%s begins with %.40q", format, b.out.String())
		}
	}
	b.want(exitUsage, "timeline", "commands", "-o", "pdf")
	b.want(exitUsage, "timeline")
	b.want(exitFailed, "timeline", "-l", "no=body")
}

func TestCompletion(t *testing.T) {
	b := newBench(t, samples()...)
	for want, args := range map[string][]string{
		"demo-run\tRunning 0/2\nneeds-ssd\tQueued 0/1\nnew\tPending\n":                        {"cancel", ""},
		"needs-ssd\tQueued 0/1\nnew\tPending\n":                                               {"describe", "ne"},
		"cancelled\tCancelled 0/1\ncommands\tCompleted 2/2\ntoo-much-memory\tOOMKilled 1/3\n": {"retry", ""},
		"svg\n":                     {"timeline", "--output", "s"},
		"wide\n":                    {"list", "-o", "w"},
		"commands\tCompleted 2/2\n": {"wait", "cancelled", "com"},
	} {
		b.want(exitDone, append([]string{"__complete"}, args...)...)
		names, _, _ := strings.Cut(b.out.String(), ":4")
		if names != want && (len(args) < 3 || !strings.Contains(names, strings.TrimSpace(want))) {
			t.Errorf("%v completes as %q, want %q", args, names, want)
		}
	}
	for want, args := range map[string][]string{
		"0\tCOMPLETED\n1\tFAILED\n2\tCANCELLED\n": {"logs", "too-much-memory", "--task", ""},
		"1\tFAILED\n": {"logs", "too-much-memory", "--task", "1"},
		"":            {"logs", "--task", ""},
	} {
		b.want(exitDone, append([]string{"__complete"}, args...)...)
		if nodes, _, _ := strings.Cut(b.out.String(), ":"); nodes != want {
			t.Errorf("%v completes as %q, want %q", args, nodes, want)
		}
	}
	b.want(exitDone, "__complete", "logs", "nobody", "--task", "")
	b.failure = clientcmd.ErrEmptyConfig
	b.want(exitDone, "__complete", "describe", "")
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	b := newBench(t)
	b.name = "kubectl taskgroup"
	root := (&app{Config: b.config(&b.out)}).root()
	for _, command := range root.Commands() {
		if command.Name() == "help" || command.Name() == "completion" {
			continue
		}
		b.want(exitDone, command.Name(), "--help")
		if !strings.Contains(b.out.String(), "Examples:") || !strings.Contains(b.out.String(), "  kubectl taskgroup "+command.Name()) {
			t.Errorf("%s has no example that can be copied:\n%s", command.Name(), b.out.String())
		}
	}
	b.want(exitDone, "version", "--client", "-o", "json")
	b.want(exitDone, "version")
	if !strings.Contains(b.out.String(), "v1.37.2") {
		t.Errorf("version is %s", b.out.String())
	}
}

// TestVersionWithoutACluster: the format does not change the exit code.
func TestVersionWithoutACluster(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.failure = clientcmd.ErrEmptyConfig
	for _, format := range []string{"", "json", "yaml"} {
		b.want(exitFailed, "version", "-o", format)
		if !strings.Contains(b.out.String(), "kubernetes.covalent.xyz/v1alpha1") || !strings.Contains(b.err.String(), "error: ") {
			t.Errorf("-o %q printed %q and %q", format, b.out.String(), b.err.String())
		}
	}
}

// TestInterruptsHaveOneExitCode, whatever a command waits for.
func TestInterruptsHaveOneExitCode(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"wait", "g"}, {"logs", "-f", "g"}} {
		ctx, stop := context.WithCancelCause(t.Context())
		b := newBenchWith(t, onWatch(func(client.WithWatch) { stop(errors.New("interrupt signal received")) }), testkit.RunningSample("g"))
		if code := Run(ctx, b.config(&b.out), args); code != exitInterrupted {
			t.Errorf("%v ended with %d: %s", args, code, b.err.String())
		}
	}
}

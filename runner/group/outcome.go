// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

type signal = syscall.Signal

const (
	sigTerm = syscall.SIGTERM
	sigKill = syscall.SIGKILL
	sigSegv = syscall.SIGSEGV
)

// maxMessage bounds the message of a task, in bytes: 256 of them share a manifest.
const maxMessage = 4 << 10

// outcome is how a task finished.
type outcome struct {
	state     contract.TaskState
	reason    contract.Reason
	message   string
	traceback string
	// exit is nil where no process ran.
	exit *process.Exit
	// output is the file with the result of a completed task; empty if a command left
	// none.
	output string
	// retry is empty unless the reason does not decide whether the failure is retried.
	retry contract.RetryClass
}

func completed(exit process.Exit, output string) outcome {
	return outcome{state: contract.TaskCompleted, exit: &exit, output: output}
}

func failed(reason contract.Reason, format string, args ...any) outcome {
	return outcome{state: contract.TaskFailed, reason: reason, message: fmt.Sprintf(format, args...)}
}

// podTerminating is the message of a task that is not started because the pod
// terminates.
const podTerminating = "the pod received SIGTERM before this task started"

// unfinished is a task that was stopped before it had a process; ctx is over,
// and activity is what the task did until then.
func unfinished(ctx context.Context, activity string) outcome {
	if cause := context.Cause(ctx); isDeadline(cause) {
		return failed(contract.ReasonDeadlineExceeded, "%s: %s", cause, activity)
	}
	return outcome{state: contract.TaskCancelled, reason: contract.ReasonNotStarted, message: podTerminating}
}

// retried states how a failure is retried.
func (o outcome) retried(class contract.RetryClass) outcome {
	o.retry = class
	return o
}

// after adds the process that ran.
func (o outcome) after(exit process.Exit) outcome {
	o.exit = &exit
	return o
}

func (o outcome) record(node contract.NodeID) contract.TaskRecord {
	message := contract.Truncate(harmless(o.message), maxMessage)
	record := contract.TaskRecord{NodeID: node, State: o.state, Reason: o.reason, Message: message}
	if o.exit != nil {
		record.ExitCode = new(o.exit.Status())
		record.PeakMemoryBytes = o.exit.PeakMemoryBytes
		record.CPUSeconds = o.exit.CPU.Seconds()
	}
	return record
}

// harmless replaces what a terminal obeys: an exception's text is the user's, and
// is shown to others in the log, by kubectl and by the dispatcher.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// stopped returns the outcome of a task that the runner stopped for a cause: it is
// not completed, also with exit code 0.
func stopped(cause error, exit process.Exit) outcome {
	how := ending(exit)
	if exit.Signal == sigKill {
		how += ", since SIGTERM did not end it in time"
	}
	if isDeadline(cause) {
		if exit.Signal == 0 {
			// Else a code of 0 looks like no failure at all.
			how += ", after SIGTERM"
		}
		return failed(contract.ReasonDeadlineExceeded, "%s: %s", cause, how).after(exit)
	}
	return outcome{
		state: contract.TaskCancelled, reason: contract.ReasonTerminated,
		message: "stopped because the pod received SIGTERM: " + how,
	}.after(exit)
}

// ending returns how a process terminated, for a message.
func ending(exit process.Exit) string {
	if exit.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%s)", int(exit.Signal), unix.SignalName(exit.Signal))
	}
	return fmt.Sprintf("exit code %d", exit.Code)
}

// outOfMemory reports whether the kernel OOM-killed a process of the container since
// the given count of kills. It is not necessarily the task's own process: a pool whose
// worker was killed raises an exception of its own.
func (r *run) outOfMemory(_ process.Exit, before int64) bool { return r.Memory.Kills() > before }

// oomKilled returns the outcome of a command that failed, of which a process was
// OOM-killed.
func (r *run) oomKilled(exit process.Exit) outcome {
	o := failed(contract.ReasonExitCode, "%s", ending(exit)).after(exit)
	return o.becauseOfMemory(r.Memory.Limit(), r.Memory.Peak())
}

// withOutOfMemory returns the outcome of a task: OOMKilled if the task failed in any
// way, and the kernel OOM-killed a process in the meantime.
func (r *run) withOutOfMemory(o outcome, before int64) outcome {
	if o.state != contract.TaskFailed || r.Memory.Kills() <= before {
		return o
	}
	return o.becauseOfMemory(r.Memory.Limit(), r.Memory.Peak())
}

// becauseOfMemory gives a failure the reason OOMKilled, followed by its own message,
// unless that is only the SIGKILL of the kernel.
func (o outcome) becauseOfMemory(limit, peak int64) outcome {
	message := oomMessage(limit, peak)
	if o.exit == nil || o.exit.Status() != int32(128+sigKill) {
		message += ": " + o.message
	}
	o.reason, o.message = contract.ReasonOOMKilled, message
	return o
}

// oomMessage names the container's memory limit and its peak, in bytes; 0 is unknown.
func oomMessage(limit, peak int64) string {
	var numbers []string
	if limit > 0 {
		numbers = append(numbers, "memory limit "+mebibytes(limit))
	}
	if peak > 0 {
		numbers = append(numbers, "peak "+mebibytes(peak))
	}
	parts := []string{"OOM-killed"}
	if len(numbers) > 0 {
		parts = append(parts, strings.Join(numbers, ", "))
	}
	return strings.Join(append(parts, "raise spec.pod.resources.limits.memory"), ": ")
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

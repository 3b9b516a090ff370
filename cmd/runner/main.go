// SPDX-License-Identifier: Apache-2.0

// Command runner is PID 1 of a task group's pod: it runs the plan in its environment.
//
//	runner               run the plan in TASKGROUP_PLAN
//	runner install DEST  copy this program to DEST, for images that lack it
//	runner check JSON    check the pod as contract.CheckRequest states
//	runner hold          wait for SIGTERM, in a pod whose volume is read by the next command
//	runner read DIR PATH [OFFSET]  write a file below DIR to the standard output
//	runner --version     print the version
//
// The environment. Settings in the plan, which come from spec.runner or from flags of the
// operator, replace those of the environment:
//
//	TASKGROUP_PLAN                 the plan (contract)
//	TASKGROUP_WORK                 the work directory; /taskgroup/work by default
//	TASKGROUP_PYTHON               the image's Python; python3 of PATH by default
//	TASKGROUP_GRACE_SECONDS        the time from SIGTERM to SIGKILL of the pod; 30 by default
//	TASKGROUP_STREAM_LIMIT         how much is kept of each stream of a task, in bytes; 64 MiB by default
//	TASKGROUP_FLUSH_SECONDS        the shortest time between two segments of a stream; 5 by default
//	TASKGROUP_CHECKPOINT_SECONDS   the shortest time between two checkpoints; 1 by default
//	TASKGROUP_STORE_RETRY_SECONDS  how long a transfer without progress is retried; 120 by default
//	TASKGROUP_STORE_STALL_SECONDS  in how many seconds a transfer must move 32 KiB; 30 by default
//	TASKGROUP_SIGNED_URLS          the file of the group's signed URLs; that of its Secret by default
//	TASKGROUP_TERMINATION_LOG      the file of the termination message; /dev/termination-log by default
//	JOB_COMPLETION_INDEX           the index of this pod's task in a Parallel plan, from 0
//
// Exit codes: 0 all tasks completed and the manifest is committed, 1 a task or the
// commit failed, 2 no task could run, 143 the pod received SIGTERM before all tasks were completed.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
	"github.com/taskgroup-operator/taskgroup-operator/runner/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/runner/group"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

const (
	exitFailed     = 1
	exitNoPlan     = 2
	exitTerminated = 128 + int(syscall.SIGTERM)
)

// gcPercent is low because the runner shares the memory limit of its container with
// the tasks. Its heap is small, so that frequent collections are cheap.
const gcPercent = 30

func main() {
	debug.SetGCPercent(gcPercent)
	// Package net/http logs unsolicited responses of servers there.
	log.SetOutput(io.Discard)
	os.Exit(run(context.Background(), os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// Else a log whose reader has terminated would kill the runner by SIGPIPE (os/signal,
	// "SIGPIPE"), and the results with it. Ignoring it instead would be inherited by tasks.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if len(args) == 0 {
		return runPlan(ctx)
	}
	for _, c := range []struct {
		name        string
		least, most int
		run         func(ctx context.Context, args []string) (int, error)
	}{
		{"--version", 0, 0, printVersion}, {"install", 1, 1, install}, {contract.CheckCommand, 1, 1, checkPod},
		{contract.HoldCommand, 0, 0, hold}, {contract.ReadCommand, 2, 3, readFile},
	} {
		if n := len(args) - 1; args[0] != c.name || n < c.least || n > c.most {
			continue
		}
		code, err := c.run(ctx, args[1:])
		if err != nil {
			fmt.Fprintln(os.Stderr, "runner:", err)
			return exitFailed
		}
		return code
	}
	fmt.Fprintln(os.Stderr, "usage: runner | runner install DEST | runner check JSON | runner hold | runner read DIR PATH [OFFSET] | runner --version")
	return exitNoPlan
}

func printVersion(context.Context, []string) (int, error) {
	fmt.Println(version.String())
	return 0, nil
}

func runPlan(ctx context.Context) int {
	options, err := optionsFrom(os.Environ())
	var result *group.Result
	if err == nil {
		result, err = runGroup(ctx, options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		refused(options, err)
		return exitNoPlan
	}
	leave(options, &result.Message)
	switch {
	case result.Interrupted:
		return exitTerminated
	case result.Message.Failure != nil:
		return exitFailed
	}
	return 0
}

func runGroup(ctx context.Context, o *options) (*group.Result, error) {
	reaper, err := process.NewReaper()
	if err != nil {
		return nil, err
	}
	return group.Run(ctx, group.Config{
		Plan:        o.plan,
		Store:       newStores(ctx, o),
		Reaper:      reaper,
		Memory:      cgroup.FindMemory("/"),
		WorkDir:     o.workDir,
		CommandDir:  workingDir(o.workDir, os.Stderr),
		Env:         o.env,
		Interpreter: o.python,
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		Grace:       o.grace,
		Index:       o.index,
		Flush:       o.flush,
		Checkpoint:  o.checkpoint,
		StreamLimit: o.streamLimit,
	})
}

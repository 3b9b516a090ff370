// SPDX-License-Identifier: Apache-2.0

// Command taskgroup runs groups of tasks and shows how they are. Under the name
// kubectl-taskgroup it is the plugin behind `kubectl taskgroup`.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args)
	stop()
	os.Exit(code)
}

// run returns the exit code; the name of the program selects the command.
func run(ctx context.Context, args []string) int {
	config := command.Config{Name: "taskgroup", In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	program, args := filepath.Base(args[0]), args[1:]
	switch {
	case strings.HasPrefix(program, "kubectl_complete-"):
		// kubectl runs a program of this name for completions.
		config.Name = "kubectl taskgroup"
		args = append([]string{"__complete"}, args...)
	case strings.HasPrefix(program, "kubectl-"):
		config.Name = "kubectl taskgroup"
	}
	return command.Run(ctx, config, args)
}

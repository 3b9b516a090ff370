// SPDX-License-Identifier: Apache-2.0

// Dist makes, signs and verifies the artifacts of a release. See "dist --help".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/cli"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cli.Run(ctx, args, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		return 1
	}
	return 0
}

// SPDX-License-Identifier: Apache-2.0

// Cluster runs one-node Kubernetes clusters on a bare machine, from programs
// that it builds out of their Go modules. See "cluster --help" and README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/cli"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cli.Run(ctx, args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", cli.Explain(err))
		return 1
	}
	return 0
}

// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
)

// app is what all commands share.
type app struct {
	out    io.Writer
	report *progress.Reporter
	// cacheDir, name and dir are flags.
	cacheDir, name, dir string
}

// Run runs one command.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	a := &app{out: stdout, report: progress.New(stderr)}
	root := &cobra.Command{
		Use:   "cluster",
		Short: "Run one-node Kubernetes clusters on a bare machine",
		Long: `Run one-node Kubernetes clusters on a bare machine, without a container engine.

Everything is built from Go modules; what a node needs beside them comes from
Debian. Clusters can run side by side. A node needs root, a control plane alone
does not.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(a.buildCommand(), a.upCommand(), a.downCommand(), a.statusCommand(), a.loadImageCommand(), a.kubeconfigCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// logLines of a failing component usually show why.
const logLines = 15

// Explain adds the end of the log of the component that failed.
func Explain(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted; nothing that this command started is left running"
	}
	failure, ok := errors.AsType[*process.Failure](err)
	if !ok {
		return err.Error()
	}
	return fmt.Sprintf("%v\n\nThe end of %s:\n%s\n\nNothing is left running. Fix the cause and run the same command again.",
		err, failure.Log, failure.LogTail(logLines))
}

func (a *app) clusterFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.name, "name", "dev", "name of the cluster")
	cmd.Flags().StringVar(&a.dir, "dir", "", "folder of the cluster's state (default <repository>/.cluster/<name>)")
}

func (a *app) cacheFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.cacheDir, "cache-dir", "", "folder of what is built (default <repository>/.cache/cluster/<version>)")
}

// layout is the places of the cluster that the flags name.
func (a *app) layout() (layout.Layout, error) {
	dir := a.dir
	if dir == "" {
		repository, err := workspace.Find()
		if err != nil {
			return layout.Layout{}, err
		}
		dir = filepath.Join(repository.Clusters(), a.name)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return layout.Layout{}, fmt.Errorf("resolving --dir: %w", err)
	}
	return layout.New(a.name, absolute)
}

func (a *app) builder(repository workspace.Workspace) (build.Builder, error) {
	dir := a.cacheDir
	if dir == "" {
		var err error
		if dir, err = build.DefaultDir(repository); err != nil {
			return build.Builder{}, err
		}
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return build.Builder{}, fmt.Errorf("resolving --cache-dir: %w", err)
	}
	return build.Builder{Dir: absolute, Report: a.report}, nil
}

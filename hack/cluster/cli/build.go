// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
)

func (a *app) buildCommand() *cobra.Command {
	var controlPlaneOnly, s3Server, kwok, kueue bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the programs of a cluster that are not current",
		Long: `Build the programs of a cluster that are not current, and install the Debian
packages that a node needs if any is missing (which takes root). "cluster up" does
the same first. The first build takes several minutes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repository, err := workspace.Find()
			if err != nil {
				return err
			}
			builder, err := a.builder(repository)
			if err != nil {
				return err
			}
			if s3Server {
				return a.buildAside(cmd.Context(), builder, repository, build.S3Targets)
			}
			if kwok {
				return a.buildAside(cmd.Context(), builder, repository, build.KwokTargets)
			}
			if kueue {
				return a.buildAside(cmd.Context(), builder, repository, build.KueueTargets)
			}
			if !controlPlaneOnly {
				if err := build.Install(cmd.Context(), a.report, build.NodePrograms); err != nil {
					return err
				}
			}
			targets, err := build.Targets(repository.Modules(), controlPlaneOnly)
			if err != nil {
				return err
			}
			if err := builder.Build(cmd.Context(), targets); err != nil {
				return err
			}
			a.report.Line("%d programs are current in %s", len(targets), builder.Bin())
			return nil
		},
	}
	a.cacheFlag(cmd)
	cmd.Flags().BoolVar(&controlPlaneOnly, "control-plane-only", false,
		"only etcd, the API server, the controller manager, the scheduler and kubectl")
	cmd.Flags().BoolVar(&s3Server, "s3-server", false, "only the S3 server of the stores' tests, and print its path")
	cmd.Flags().BoolVar(&kwok, "kwok", false, "only kwok, which plays the nodes of the benchmarks, and print its path")
	cmd.Flags().BoolVar(&kueue, "kueue", false, "only Kueue, which the tests of queues install, and print its path")
	cmd.MarkFlagsMutuallyExclusive("control-plane-only", "s3-server", "kwok", "kueue")
	return cmd
}

// buildAside builds programs that a cluster does not need, and prints their paths.
func (a *app) buildAside(ctx context.Context, builder build.Builder, repository workspace.Workspace, list func(string) ([]build.Target, error)) error {
	targets, err := list(repository.Modules())
	if err != nil {
		return err
	}
	if err := builder.Build(ctx, targets); err != nil {
		return err
	}
	for _, target := range targets {
		fmt.Fprintln(a.out, builder.Path(target))
	}
	return nil
}

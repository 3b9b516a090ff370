package cli

import (
	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
)

func (a *app) buildCommand() *cobra.Command {
	var controlPlaneOnly bool
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
			a.report.Say("%d programs are current in %s", len(targets), builder.Bin())
			return nil
		},
	}
	a.cacheFlag(cmd)
	cmd.Flags().BoolVar(&controlPlaneOnly, "control-plane-only", false,
		"only etcd, the API server, the controller manager, the scheduler and kubectl")
	return cmd
}

// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/lifecycle"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
)

func (a *app) downCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cluster and remove all of it",
		Long: `End a cluster and remove all of it: processes, mounts, network, cgroups and state.
It touches nothing else, works on clusters that crashed, and does nothing when
there is no such cluster.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			layouts, err := a.selected(all)
			if err != nil {
				return err
			}
			var problems []error
			for _, l := range layouts {
				problems = append(problems, a.report.Step("removing cluster "+l.Name, func() error {
					return lifecycle.Down(cmd.Context(), l)
				}))
			}
			return errors.Join(problems...)
		},
	}
	a.clusterFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all clusters in <repository>/.cluster")
	cmd.MarkFlagsMutuallyExclusive("all", "name")
	cmd.MarkFlagsMutuallyExclusive("all", "dir")
	return cmd
}

// selected is one cluster, or all whose state is in the repository.
func (a *app) selected(all bool) ([]layout.Layout, error) {
	if !all {
		l, err := a.layout()
		return []layout.Layout{l}, err
	}
	repository, err := workspace.Find()
	if err != nil {
		return nil, err
	}
	return lifecycle.List(repository.Clusters())
}

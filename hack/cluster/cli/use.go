// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/lifecycle"
)

func (a *app) loadImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "load-image FILE.tar...",
		Short:   "Load image archives into a cluster",
		Example: "  cluster load-image --name a bin/manager.tar",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, archives []string) error {
			l, err := a.layout()
			if err != nil {
				return err
			}
			return lifecycle.LoadImages(cmd.Context(), l, archives, a.report)
		},
	}
	a.clusterFlags(cmd)
	return cmd
}

func (a *app) kubeconfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print the path of a cluster's kubeconfig",
		Example: "  export KUBECONFIG=$(cluster kubeconfig --name a)",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := a.layout()
			if err != nil {
				return err
			}
			file, err := lifecycle.Kubeconfig(l)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, file)
			return nil
		},
	}
	a.clusterFlags(cmd)
	return cmd
}

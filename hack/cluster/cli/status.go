// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/lifecycle"
)

func (a *app) statusCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell how one cluster is, or all of them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			one := cmd.Flags().Changed("name") || cmd.Flags().Changed("dir")
			layouts, err := a.selected(!one)
			if err != nil {
				return err
			}
			statuses, err := statusesOf(cmd.Context(), layouts, one)
			if err != nil {
				return err
			}
			if format == formatJSON {
				return a.printJSON(statuses)
			}
			a.printStatuses(statuses)
			return nil
		},
	}
	a.clusterFlags(cmd)
	outputFlag(cmd, &format)
	return cmd
}

func statusesOf(ctx context.Context, layouts []layout.Layout, must bool) ([]lifecycle.Status, error) {
	statuses := []lifecycle.Status{}
	for _, l := range layouts {
		status, err := lifecycle.StatusOf(ctx, l)
		if err != nil && must {
			return nil, err
		}
		if err != nil {
			status.Name, status.Dir, status.Problem = l.Name, l.Dir, err.Error()
		}
		statuses = append(statuses, status)
	}
	return statuses, nil
}

func (a *app) printStatuses(statuses []lifecycle.Status) {
	if len(statuses) == 0 {
		fmt.Fprintln(a.out, "no clusters")
	}
	for _, status := range statuses {
		word := "healthy"
		if !status.Healthy {
			word = "NOT HEALTHY: " + status.Problem
		}
		fmt.Fprintf(a.out, "%s  %s  %s\n", status.Name, status.Dir, word)
		for _, component := range status.Components {
			state := "running"
			if !component.Running {
				state = "ENDED"
			}
			fmt.Fprintf(a.out, "  %-24s pid %-8d %s\n", component.Name, component.PID, state)
		}
	}
}

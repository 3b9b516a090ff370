// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/describe"
)

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME...",
		Short: "Show all of a group: its timeline, attempts, tasks, events, and what to do next",
		Example: a.text(`  {cmd} describe my-group
  {cmd} describe my-group -n team-a`),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames(anyGroup),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			session, err := a.session()
			if err != nil {
				return err
			}
			var selected targets
			groups, failed := selected.read(cmd.Context(), session, names)
			for i := range groups {
				if i > 0 {
					_, _ = a.Out.Write([]byte("\n"))
				}
				a.describe(cmd.Context(), session, &groups[i])
			}
			return failed
		}),
	}
}

// describe prints one group. Permission to read groups does not imply that to read
// pods, so what cannot be read is a note.
func (a *app) describe(ctx context.Context, session *cluster.Session, tg *v1alpha1.TaskGroup) {
	var err error
	facts := describe.Facts{Group: tg, Now: a.Clock.Now(), Command: a.Name, Palette: a.palette}
	if facts.Pods, err = session.Pods(ctx, tg); err != nil {
		facts.Unknown = append(facts.Unknown, cluster.Explain(err).Error())
	}
	if facts.Events, err = session.Events(ctx, tg); err != nil {
		facts.Unknown = append(facts.Unknown, cluster.Explain(err).Error())
	}
	describe.Fprint(a.Out, &facts)
}

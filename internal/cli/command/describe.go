package command

import (
	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/describe"
)

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME...",
		Short: "Tell all of a group: its life, attempts, tasks, events, and what to do next",
		Example: a.text(`  {cmd} describe my-group
  {cmd} describe my-group -n team-a`),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNames(anyGroup),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			session, err := a.session()
			if err != nil {
				return err
			}
			for i, name := range names {
				if i > 0 {
					_, _ = a.Out.Write([]byte("\n"))
				}
				if err := a.describe(cmd, session, name); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// describe tells what it may: whoever can read groups cannot always read pods.
func (a *app) describe(cmd *cobra.Command, session *cluster.Session, name string) error {
	tg, err := session.Get(cmd.Context(), name)
	if err != nil {
		return err
	}
	facts := describe.Facts{Group: tg, Now: a.Clock.Now(), Command: a.Name, Palette: a.palette}
	if facts.Pods, err = session.Pods(cmd.Context(), tg); err != nil {
		facts.Unknown = append(facts.Unknown, cluster.Explain(err).Error())
	}
	if facts.Events, err = session.Events(cmd.Context(), tg); err != nil {
		facts.Unknown = append(facts.Unknown, cluster.Explain(err).Error())
	}
	describe.Fprint(a.Out, &facts)
	return nil
}

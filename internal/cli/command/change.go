package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
)

// change is one field of a group that may change after its creation.
type change struct {
	verb, short, long string
	// patch is the change, done what is said of it.
	patch, done string
	// pointless says why it would change nothing; empty where it would.
	pointless func(*v1alpha1.TaskGroup) string
}

func (a *app) changeCommands() []*cobra.Command {
	ended := func(tg *v1alpha1.TaskGroup) string {
		if tg.Status.IsFinished() {
			return "has ended already, as " + string(tg.Status.Reason())
		}
		return ""
	}
	return []*cobra.Command{
		a.changeCommand(&change{
			verb: "cancel", short: "Cancel groups", patch: `{"spec":{"cancel":true}}`, done: "cancelling",
			long: `Cancel groups: their pods get their grace period to end, and what they printed
and committed up to then is kept. It cannot be taken back; retry runs a group anew.`,
			pointless: func(tg *v1alpha1.TaskGroup) string {
				if why := ended(tg); why != "" || !tg.Spec.Cancel {
					return why
				}
				return "is being cancelled already"
			},
		}),
		a.changeCommand(&change{
			verb: "suspend", short: "Suspend groups: stop their pods, to go on later", patch: `{"spec":{"suspend":true}}`, done: "suspending",
			long: `Suspend groups: a pod that runs is stopped, and none is started. resume goes on at
the first task that is not completed. No clock of spec.timeouts runs meanwhile.`,
			pointless: func(tg *v1alpha1.TaskGroup) string {
				if why := ended(tg); why != "" || !tg.Spec.Suspend {
					return why
				}
				return "is suspended already"
			},
		}),
		a.changeCommand(&change{
			verb: "resume", short: "Let suspended groups go on", patch: `{"spec":{"suspend":false}}`, done: "resumed",
			long: `Let suspended groups go on, at the first task that is not completed.`,
			pointless: func(tg *v1alpha1.TaskGroup) string {
				if why := ended(tg); why != "" || tg.Spec.Suspend {
					return why
				}
				return "is not suspended"
			},
		}),
	}
}

func (a *app) changeCommand(c *change) *cobra.Command {
	var selected selector
	var all, wait bool
	waits := waitOptions{until: "finished"}
	cmd := &cobra.Command{
		Use:   c.verb + " NAME... | -l LABELS | --all",
		Short: c.short,
		Long:  c.long,
		Example: a.text("  {cmd} " + c.verb + ` my-group
  {cmd} ` + c.verb + " -l team=a"),
		ValidArgsFunction: a.completeNames(func(tg *v1alpha1.TaskGroup) bool { return c.pointless(tg) == "" }),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := checkTargets(names, &selected, all); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			changed, err := a.change(cmd.Context(), session, names, &selected, c)
			if err != nil || !wait || len(changed) == 0 {
				return err
			}
			return a.wait(cmd.Context(), session, changed, &waits)
		}),
	}
	selected.bind(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all groups of the namespace that have not ended")
	if c.verb == "cancel" {
		cmd.Flags().BoolVar(&wait, "wait", false, "wait until nothing of them runs; the exit code is then that of wait: 3")
		waits.bind(cmd)
	}
	return cmd
}

// change changes groups and returns their names. One by its name that cannot be
// changed is an error; those of a selector are passed over.
func (a *app) change(ctx context.Context, session *cluster.Session, names []string, selected *selector, c *change) (changed []string, err error) {
	var groups []v1alpha1.TaskGroup
	if len(names) == 0 {
		list, err := session.List(ctx, session.Namespace, selected.labels)
		if err != nil {
			return nil, err
		}
		groups = list.Items
	}
	for _, name := range names {
		tg, err := session.Get(ctx, name)
		if err != nil {
			return changed, err
		}
		groups = append(groups, *tg)
	}
	for i := range groups {
		tg := &groups[i]
		if why := c.pointless(tg); why != "" {
			if len(names) > 0 {
				fmt.Fprintf(a.Err, "%s %s: nothing to %s\n", tg.Name, why, c.verb)
			}
			continue
		}
		if _, err := session.Patch(ctx, client.ObjectKeyFromObject(tg), c.patch); err != nil {
			return changed, err
		}
		changed = append(changed, tg.Name)
		output.PrintName(a.Out, tg, c.done)
	}
	if len(names) == 0 && len(changed) == 0 {
		fmt.Fprintf(a.Err, "nothing to %s in the namespace %s\n", c.verb, session.Namespace)
	}
	return changed, nil
}

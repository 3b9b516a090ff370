// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
)

// change is one field of a group that may change after its creation.
type change struct {
	verb, short, long string
	// patch is the change, done what is printed for it.
	patch, done string
	// pointless reports why it would change nothing; empty where it would.
	pointless func(*v1alpha1.TaskGroup) string
}

func (a *app) changeCommands() []*cobra.Command {
	ended := func(tg *v1alpha1.TaskGroup) string {
		if tg.Status.IsFinished() {
			return "has finished already, as " + string(tg.Status.Reason())
		}
		return ""
	}
	return []*cobra.Command{
		a.changeCommand(&change{
			verb: "cancel", short: "Cancel groups", patch: `{"spec":{"cancel":true}}`, done: "cancelling",
			long: `Cancel groups: their pods get their grace period to end, and what they printed
and committed up to then is kept. It cannot be taken back; retry runs a group again.`,
			pointless: func(tg *v1alpha1.TaskGroup) string {
				if why := ended(tg); why != "" || !tg.Spec.Cancel {
					return why
				}
				return "is being cancelled already"
			},
		}),
		a.changeCommand(&change{
			verb: "suspend", short: "Suspend groups: stop their pods until they are resumed", patch: `{"spec":{"suspend":true}}`, done: "suspending",
			long: `Suspend groups: a pod that runs is stopped, and none is started. resume continues at
the first task that is not completed. No clock of spec.timeouts runs meanwhile.`,
			pointless: func(tg *v1alpha1.TaskGroup) string {
				if why := ended(tg); why != "" || !tg.Spec.Suspend {
					return why
				}
				return "is suspended already"
			},
		}),
		a.changeCommand(&change{
			verb: "resume", short: "Resume suspended groups", patch: `{"spec":{"suspend":false}}`, done: "resumed",
			long: `Resume suspended groups at the first task that is not completed.`,
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
	var selected targets
	var wait bool
	waits := waitOptions{until: "finished"}
	cmd := &cobra.Command{
		Use:   c.verb + " NAME... | -l LABELS | --all",
		Short: c.short,
		Long:  c.long,
		Example: a.text("  {cmd} " + c.verb + ` my-group
  {cmd} ` + c.verb + ` -l team=a
  {cmd} ` + c.verb + " -A --dispatcher lab"),
		ValidArgsFunction: a.completeNames(func(tg *v1alpha1.TaskGroup) bool { return c.pointless(tg) == "" }),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := selected.Validate(names); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			changed, err := a.change(cmd.Context(), session, names, &selected, c)
			if !wait || len(changed) == 0 {
				return err
			}
			return joined(err, a.wait(cmd.Context(), session, changed, &waits))
		}),
	}
	selected.bind(cmd, "all groups of the namespace that have not finished")
	if c.verb == "cancel" {
		cmd.Flags().BoolVar(&wait, "wait", false, "wait until none of their pods runs; the exit code is then that of wait: 3")
		waits.bind(cmd)
	}
	return cmd
}

// change changes groups and returns their keys. The error of one group does not keep
// the others from being changed. A group that has nothing to change is reported if it
// was named, and skipped if it was selected.
func (a *app) change(ctx context.Context, session *cluster.Session, names []string, selected *targets, c *change) (changed []client.ObjectKey, err error) {
	groups, err := selected.read(ctx, session, names)
	groups = slices.DeleteFunc(groups, func(tg v1alpha1.TaskGroup) bool {
		why := c.pointless(&tg)
		if why != "" && len(names) > 0 {
			fmt.Fprintf(a.Err, "%s %s: nothing to %s\n", tg.Name, why, c.verb)
		}
		return why != ""
	})
	if len(names) == 0 && len(groups) == 0 && err == nil {
		fmt.Fprintf(a.Err, "nothing to %s %s\n", c.verb, selected.where(session))
	}
	errs := each(groups, func(tg *v1alpha1.TaskGroup) error {
		_, err := session.Patch(ctx, client.ObjectKeyFromObject(tg), c.patch)
		return err
	})
	for i := range groups {
		switch {
		case errs[i] == nil:
			changed = append(changed, client.ObjectKeyFromObject(&groups[i]))
			output.PrintName(a.Out, &groups[i], c.done)
		case cluster.IsGone(errs[i]) && len(names) == 0:
			// It was deleted after the list, so the selector does not select it any more.
			fmt.Fprintf(a.Err, "%s no longer exists: nothing to %s\n", groups[i].Name, c.verb)
			errs[i] = nil
		}
	}
	return changed, joined(append([]error{err}, errs...)...)
}

// parallelRequests is the number of groups that are changed at the same time.
const parallelRequests = 16

// each calls do for every group, several at a time, and returns their errors in the
// order of the groups.
func each(groups []v1alpha1.TaskGroup, do func(*v1alpha1.TaskGroup) error) []error {
	errs := make([]error, len(groups))
	var workers errgroup.Group
	workers.SetLimit(parallelRequests)
	for i := range groups {
		workers.Go(func() error {
			errs[i] = do(&groups[i])
			return nil
		})
	}
	_ = workers.Wait()
	return errs
}

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
)

func (a *app) deleteCommand() *cobra.Command {
	var selected targets
	cmd := &cobra.Command{
		Use:   "delete NAME... | -l LABELS | --all",
		Short: "Delete groups, with their Jobs and pods",
		Long: `Delete groups, with their Jobs and pods. A group that runs is cancelled by this. What
it stored below spec.assets.outputs remains; the logs of its pods do not.`,
		Example: a.text(`  {cmd} delete my-group
  {cmd} delete -l team=a
  {cmd} delete -A --dispatch ID`),
		ValidArgsFunction: a.completeNames(anyGroup),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := selected.Validate(names); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.delete(cmd.Context(), session, names, &selected)
		}),
	}
	selected.bind(cmd, "all groups of the namespace, also those that run")
	return cmd
}

// delete deletes groups; the error of one does not keep the others. Only the object that
// was read is deleted, and not a new one of its name.
func (a *app) delete(ctx context.Context, session *cluster.Session, names []string, selected *targets) error {
	groups, err := selected.read(ctx, session, names)
	if len(names) == 0 && len(groups) == 0 && err == nil {
		fmt.Fprintf(a.Err, "nothing to delete %s\n", selected.where(session))
	}
	errs := each(groups, func(tg *v1alpha1.TaskGroup) error {
		uid := client.Preconditions{UID: &tg.UID}
		if err := session.Client.Delete(ctx, tg.DeepCopy(), uid, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil && !cluster.IsGone(err) {
			return fmt.Errorf("deleting TaskGroup %s: %w", tg.Name, err)
		}
		return nil
	})
	for i := range groups {
		if errs[i] == nil {
			output.PrintName(a.Out, &groups[i], "deleted")
		}
	}
	return joined(append([]error{err}, errs...)...)
}

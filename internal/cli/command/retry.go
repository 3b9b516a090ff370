// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/submission"
)

// retryOptions are the flags of retry.
type retryOptions struct {
	changes submission.Changes
	wait    bool
	waiting waitOptions
	dryRun  bool
	// detach permits a new group for a group of a workflow.
	detach bool
	format output.Format
}

func (a *app) retryCommand() *cobra.Command {
	options := retryOptions{waiting: waitOptions{until: "finished"}, format: output.Table}
	cmd := &cobra.Command{
		Use:   "retry NAME",
		Short: "Run a group that failed once more, as a new group",
		Long: `Run a group that failed or was cancelled once more. A group finishes once: the new
one has its spec, and its name with -r1, -r2 and so on. All its tasks run; results
go to a folder of the new group. (spec.retries retries a group automatically.)

A group of Covalent is refused, because its workflow does not receive the result of a
new group: use ct.redispatch, or --detach.`,
		Example: a.text(`  {cmd} retry my-group
  {cmd} retry my-group --memory 2Gi --wait
  {cmd} retry my-group --dry-run -o yaml`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: one(a.completeNames(finishedGroup)),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := options.format.Check(output.Table, output.JSON, output.YAML, output.Name); err != nil {
				return misused("%w", err)
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.retry(cmd, session, names[0], &options)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&options.changes.Image, "image", "", "image of the new group")
	flags.StringVar(&options.changes.Memory, "memory", "", "memory of the new group, such as 2Gi")
	flags.StringVar(&options.changes.CPU, "cpu", "", "processors of the new group, such as 500m")
	flags.BoolVar(&options.detach, "detach", false, "also for a group of a workflow: the new group has no dispatch and no callback")
	flags.BoolVar(&options.dryRun, "dry-run", false, "print what would be created")
	flags.BoolVar(&options.wait, "wait", false, "wait until it has finished; see wait for the exit codes")
	options.waiting.bind(cmd)
	outputFlag(cmd, &options.format, output.JSON, output.YAML, output.Name)
	return cmd
}

func (a *app) retry(cmd *cobra.Command, session *cluster.Session, name string, options *retryOptions) error {
	former, err := session.Get(cmd.Context(), name)
	if err != nil {
		return err
	}
	if err := a.refuseRetry(former, options); err != nil {
		return err
	}
	names, err := session.List(cmd.Context(), session.Namespace, nil)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for i := range names.Items {
		taken[names.Items[i].Name] = true
	}
	for {
		again, err := submission.Again(former, &options.changes, func(name string) bool { return taken[name] })
		if err != nil {
			return misused("%w", err)
		}
		if options.dryRun {
			return a.printNew(options.format, again)
		}
		err = session.Create(cmd.Context(), again)
		if apierrors.IsAlreadyExists(err) {
			// Another user retried it at the same moment.
			taken[again.Name] = true
			continue
		}
		if err != nil {
			return fmt.Errorf("creating TaskGroup %s: %w", again.Name, err)
		}
		return a.retried(cmd, session, former, again, options)
	}
}

// refuseRetry returns an error for a group that a new group cannot replace.
func (a *app) refuseRetry(former *v1alpha1.TaskGroup, options *retryOptions) error {
	name := former.Name
	if !former.Status.IsFinished() {
		return &cluster.Problem{
			What: fmt.Sprintf("%s has not finished: it is %s", name, former.Status.Reason()),
			Next: a.text("wait for its end with {cmd} wait " + name + ", or end it with {cmd} cancel " + name),
		}
	}
	if former.Spec.DispatchID != "" && !options.detach {
		return &cluster.Problem{
			What: fmt.Sprintf("%s belongs to dispatch %s of Covalent: the workflow does not receive the result of a new group", name, former.Spec.DispatchID),
			Next: fmt.Sprintf("run ct.redispatch(%q, reuse_previous_results=True)(), or repeat the group outside of the workflow with --detach", former.Spec.DispatchID),
		}
	}
	if isPresigned(former) {
		return &cluster.Problem{
			What: name + " was sent with presign: the signed URLs of its pods are of that group alone",
			Next: "dispatch its workflow again; only its dispatcher can sign others",
		}
	}
	return nil
}

// isPresigned reports whether a group's pods have signed URLs in place of credentials.
func isPresigned(tg *v1alpha1.TaskGroup) bool {
	return tg.Spec.Pod != nil && slices.ContainsFunc(tg.Spec.Pod.VolumeMounts, func(mount v1alpha1.VolumeMount) bool {
		return mount.MountPath == contract.SignedURLsDir
	})
}

// retried reports what was created, and waits for it where that was requested.
func (a *app) retried(cmd *cobra.Command, session *cluster.Session, former, again *v1alpha1.TaskGroup, options *retryOptions) error {
	if options.format != output.Table {
		if err := output.Print(a.Out, options.format, again); err != nil {
			return err
		}
	} else {
		output.PrintName(a.Out, again, "created")
		fmt.Fprintf(a.Err, "it has the spec of %s, which finished as %s, and runs all %d tasks again\n", former.Name, former.Status.Reason(), len(again.Spec.Tasks))
	}
	if !options.wait {
		return nil
	}
	return a.wait(cmd.Context(), session, []client.ObjectKey{client.ObjectKeyFromObject(again)}, &options.waiting)
}

// printNew prints an object that is not created.
func (a *app) printNew(format output.Format, tg *v1alpha1.TaskGroup) error {
	if format == output.Table {
		format = output.YAML
	}
	return output.PrintNew(a.Out, format, tg)
}

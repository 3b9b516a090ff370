// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// completionPatience is how long a user who pressed Tab waits for a cluster.
const completionPatience = 3 * time.Second

// completeNames offers the groups that a command can do something with.
func (a *app) completeNames(useful func(*v1alpha1.TaskGroup) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		session, err := a.session()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := session.List(ctx, session.Namespace, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for i := range list.Items {
			tg := &list.Items[i]
			if strings.HasPrefix(tg.Name, prefix) && !slices.Contains(args, tg.Name) && useful(tg) {
				names = append(names, cobra.CompletionWithDesc(tg.Name, string(tg.Status.Reason())+" "+tg.Status.Summary))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeTasks offers the tasks of the group that the command line names.
func (a *app) completeTasks(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	session, err := a.session()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	tg, err := session.Get(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var nodes []cobra.Completion
	for i := range tg.Spec.Tasks {
		status := view.StatusOf(tg, tg.Spec.Tasks[i].NodeID)
		if node := status.NodeID.String(); strings.HasPrefix(node, prefix) {
			nodes = append(nodes, cobra.CompletionWithDesc(node, string(status.State)))
		}
	}
	return nodes, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// one completes only the first argument.
func one(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, prefix)
	}
}

func anyGroup(*v1alpha1.TaskGroup) bool         { return true }
func finishedGroup(tg *v1alpha1.TaskGroup) bool { return tg.Status.IsFinished() }

func (a *app) completeNamespaces(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	session, err := a.session()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var namespaces corev1.NamespaceList
	if session.Client.List(ctx, &namespaces) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for i := range namespaces.Items {
		if strings.HasPrefix(namespaces.Items[i].Name, prefix) {
			names = append(names, namespaces.Items[i].Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeContexts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.flags.Contexts(), cobra.ShellCompDirectiveNoFileComp
}

// completeFrom completes one of a fixed list.
func completeFrom(list ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// outputFlag adds --output with the formats that a command has.
func outputFlag(cmd *cobra.Command, format *output.Format, formats ...output.Format) {
	names := make([]string, 0, len(formats))
	for _, f := range formats {
		names = append(names, string(f))
	}
	cmd.Flags().StringVarP((*string)(format), "output", "o", string(*format), "format: "+strings.Join(names, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", completeFrom(names...))
}

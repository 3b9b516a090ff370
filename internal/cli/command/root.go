// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
)

const (
	groupLook   = "look"
	groupChange = "change"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:         "taskgroup",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: a.Name},
		Short:       "Run groups of tasks on Kubernetes, and see how they are",
		Long: a.text(`Run groups of tasks on Kubernetes, and see how they are.

The cluster is found as kubectl finds it: --kubeconfig, $KUBECONFIG or
~/.kube/config, and --context and --namespace. Exit codes: 0 all is well,
1 something failed, 2 wrong usage; those of waiting are in {cmd} wait --help.`),
		Example: a.text(`  {cmd} submit --image python:3.12 --wait -- python3 -c 'print("hello")'
  {cmd} list
  {cmd} describe NAME
  {cmd} logs -f NAME`),
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	a.flags = cluster.Flags{}
	a.flags.Bind(root.PersistentFlags())
	root.AddGroup(&cobra.Group{ID: groupLook, Title: "To look:"}, &cobra.Group{ID: groupChange, Title: "To run and change:"})
	for id, commands := range map[string][]*cobra.Command{
		groupLook:   {a.listCommand(), a.describeCommand(), a.waitCommand(), a.logsCommand(), a.resultsCommand(), a.timelineCommand(), a.topCommand(), a.eventsCommand()},
		groupChange: append(a.changeCommands(), a.retryCommand(), a.submitCommand(), a.deleteCommand()),
	} {
		for _, command := range commands {
			command.GroupID = id
			root.AddCommand(command)
		}
	}
	root.AddCommand(a.versionCommand(), a.executorCommand(), a.doctorCommand())
	for flag, complete := range map[string]cobra.CompletionFunc{"namespace": a.completeNamespaces, "context": a.completeContexts} {
		_ = root.RegisterFlagCompletionFunc(flag, complete)
	}
	return root
}

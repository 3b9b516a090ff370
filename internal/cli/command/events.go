// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/describe"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// eventsOptions are the flags of events.
type eventsOptions struct {
	targets
	noHeaders bool
}

func (a *app) eventsCommand() *cobra.Command {
	var options eventsOptions
	cmd := &cobra.Command{
		Use:   "events NAME... | -l LABELS | --all",
		Short: "List the events of groups, oldest first",
		Example: a.text(`  {cmd} events my-group
  {cmd} events -A --all --no-headers`),
		ValidArgsFunction: a.completeNames(anyGroup),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := options.Validate(names); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.events(cmd.Context(), session, names, &options)
		}),
	}
	options.bind(cmd, "all groups of the namespace")
	cmd.Flags().BoolVar(&options.noHeaders, "no-headers", false, "without the line of the names of the columns")
	return cmd
}

func (a *app) events(ctx context.Context, session *cluster.Session, names []string, options *eventsOptions) error {
	groups, err := options.read(ctx, session, names)
	errs := failures{err}
	var events []corev1.Event
	for i := range groups {
		found, err := session.Events(ctx, &groups[i])
		events, errs = append(events, found...), append(errs, err)
	}
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return describe.EventTime(&a).Compare(describe.EventTime(&b)) })
	out := table.Table{Palette: a.palette, NoHeader: options.noHeaders}
	if options.allNamespaces {
		out.Header = append(out.Header, "NAMESPACE")
	}
	out.Header = append(out.Header, "AGE", "TYPE", "REASON", "NAME", "MESSAGE")
	for i := range events {
		event := &events[i]
		var row []table.Cell
		if options.allNamespaces {
			row = append(row, table.Text(event.Namespace))
		}
		out.Add(append(row, table.Text(view.Age(describe.EventTime(event), a.Clock.Now())), table.Text(event.Type),
			table.Text(event.Reason), table.Text(event.InvolvedObject.Name), table.Blank(event.Message))...)
	}
	if len(events) > 0 {
		out.Fprint(a.Out)
	}
	return joined(errs...)
}

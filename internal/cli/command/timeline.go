// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/asset"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/timeline"
)

// timelineOptions are the flags of timeline.
type timelineOptions struct {
	targets
	format string
	mounts mountFlag
}

// timelineFormats are what a timeline can be drawn as.
var timelineFormats = []string{"text", "svg", "html"}

func (a *app) timelineCommand() *cobra.Command {
	options := timelineOptions{mounts: a.newMounts()}
	cmd := &cobra.Command{
		Use:   "timeline NAME... | -l LABELS | --all",
		Short: "Draw when each task waited and ran",
		Long: `Draw when each task waited for a node, started, waited its turn and ran. The times
of tasks are in the manifest, if this machine can read it; else those of the pods
stand for them. SVG and HTML need nothing but themselves.`,
		Example: a.text(`  {cmd} timeline my-group
  {cmd} timeline -l dispatch=nightly -o html > nightly.html`),
		ValidArgsFunction: a.completeNames(anyGroup),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if !slices.Contains(timelineFormats, options.format) {
				return misused("--output is text, svg or html, not %q", options.format)
			}
			if err := options.Validate(names); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.timeline(cmd.Context(), session, names, &options)
		}),
	}
	options.bind(cmd, "all groups of the namespace")
	options.mounts.bind(cmd)
	cmd.Flags().StringVarP(&options.format, "output", "o", "text", "format: text, svg or html")
	_ = cmd.RegisterFlagCompletionFunc("output", completeFrom(timelineFormats...))
	return cmd
}

func (a *app) timeline(ctx context.Context, session *cluster.Session, names []string, options *timelineOptions) error {
	groups, failed := options.read(ctx, session, names)
	if len(groups) == 0 {
		return cmp.Or(failed, options.none(session))
	}
	inputs := make([]timeline.Input, 0, len(groups))
	for i := range groups {
		// What cannot be read is a coarser picture, not an error.
		input := timeline.Input{Group: &groups[i]}
		input.Pods, _ = session.Pods(ctx, &groups[i])
		input.Manifests, _ = asset.Manifests(ctx, options.mounts.mounts, &groups[i])
		inputs = append(inputs, input)
	}
	chart := timeline.Build(inputs, a.Clock.Now())
	switch options.format {
	case "svg":
		chart.SVG(a.Out)
	case "html":
		chart.HTML(a.Out)
	default:
		chart.Text(a.Out, terminal.SizeOf(a.Out).Width, a.palette)
	}
	return failed
}

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/progress"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

// The terminal's other screen, and back.
const (
	otherScreen = "\x1b[?1049h"
	firstScreen = "\x1b[?1049l"
	toTheTop    = "\x1b[H"
)

// topOptions are the flags of top.
type topOptions struct {
	selector      selector
	allNamespaces bool
	once          bool
}

func (a *app) topCommand() *cobra.Command {
	var options topOptions
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch all groups: how many are in each stage, and the unfinished ones",
		Long: `Watch all groups: how many are in each stage, the unfinished ones, and those
that finished last. On a terminal it continues until Ctrl-C; elsewhere it is printed once.`,
		Example: a.text(`  {cmd} top -A
  {cmd} top -l team=a --once`),
		Args: cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			session, err := a.session()
			if err != nil {
				return err
			}
			query := cluster.Query{Namespace: session.Namespace, Selector: options.selector.labels}
			if options.allNamespaces {
				query.Namespace = ""
			}
			if options.once || !terminal.Is(a.Out) {
				return a.topOnce(cmd.Context(), session, query)
			}
			return a.topLive(cmd.Context(), session, query)
		}),
	}
	options.selector.bind(cmd)
	cmd.Flags().BoolVarP(&options.allNamespaces, "all-namespaces", "A", false, "groups of all namespaces")
	cmd.Flags().BoolVar(&options.once, "once", false, "print it once, also on a terminal")
	return cmd
}

func (a *app) topOnce(ctx context.Context, session *cluster.Session, query cluster.Query) error {
	list, err := session.List(ctx, query.Namespace, query.Selector)
	if err != nil {
		return err
	}
	size := terminal.SizeOf(a.Out)
	if !terminal.Is(a.Out) {
		size.Width = 0
	}
	// What scrolls has no height.
	size.Height = progress.OverviewHeight(len(list.Items))
	for _, line := range progress.Overview(list.Items, a.Clock.Now(), size, query.Namespace == "", a.palette) {
		fmt.Fprintln(a.Out, line)
	}
	return nil
}

// topLive draws on the terminal's other screen until ctx ends.
func (a *app) topLive(ctx context.Context, session *cluster.Session, query cluster.Query) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	_, _ = io.WriteString(a.Out, otherScreen)
	defer func() { _, _ = io.WriteString(a.Out, firstScreen) }()
	var mu sync.Mutex
	var groups []v1alpha1.TaskGroup
	draw := func() {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(a.Out, toTheTop)
		progress.NewScreen(a.Out).Draw(progress.Overview(groups, a.Clock.Now(), terminal.SizeOf(a.Out), query.Namespace == "", a.palette))
	}
	done := a.redraw(ctx, draw)
	err := session.Follow(ctx, query, func(now []v1alpha1.TaskGroup) bool {
		mu.Lock()
		groups = now
		mu.Unlock()
		draw()
		return false
	})
	stop()
	done()
	if errors.Is(err, context.Canceled) {
		return interrupted()
	}
	return err
}

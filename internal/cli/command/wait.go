package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/progress"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// errTimeout is the end of --timeout.
var errTimeout = errors.New("the time of --timeout is over")

// waitOptions are the flags of wait.
type waitOptions struct {
	selector selector
	all      bool
	until    string
	timeout  time.Duration
}

// Validate names every flag that cannot work.
func (o *waitOptions) Validate(names []string) error {
	o.until = strings.ToLower(strings.TrimPrefix(o.until, "condition="))
	if o.until == "succeeded" {
		o.until = "completed"
	}
	switch {
	case !view.IsState(o.until):
		return misused("--for: %q is no state: use one of %s", o.until, strings.Join(view.States(), ", "))
	case o.timeout < 0:
		return misused("--timeout is 0, for no limit, or more")
	}
	return checkTargets(names, &o.selector, o.all)
}

// checkTargets wants names, a selector, or --all.
func checkTargets(names []string, selector *selector, all bool) error {
	given := 0
	for _, is := range []bool{len(names) > 0, selector.labels != nil, all} {
		if is {
			given++
		}
	}
	if given != 1 {
		return misused("say which groups: by their names, by labels with -l, or with --all")
	}
	return nil
}

func (a *app) waitCommand() *cobra.Command {
	var options waitOptions
	cmd := &cobra.Command{
		Use:   "wait NAME... | -l LABELS | --all",
		Short: "Wait until groups have ended, and tell by the exit code how",
		Long: `Wait until groups have ended, or are in the state of --for. Each has a bar on a
terminal, and elsewhere a line for each change.

The exit code is for scripts:
  0  all Completed, or as --for says
  1  one failed, or ended in another way than --for says
  2  wrong usage
  3  none failed, and one was cancelled or deleted
  4  the time of --timeout is over
  5  it could not be told: no such group, no cluster`,
		Example: a.text(`  {cmd} wait my-group --timeout 10m
  {cmd} wait -l dispatch=nightly
  {cmd} wait my-group --for running && {cmd} logs -f my-group`),
		ValidArgsFunction: a.completeNames(anyGroup),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := options.Validate(names); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return untold(err)
			}
			return a.wait(cmd.Context(), session, names, &options)
		}),
	}
	options.bind(cmd)
	cmd.Flags().StringVar(&options.until, "for", "finished", "state to wait for: active, finished, a stage, or a word of the column STATUS")
	cmd.Flags().BoolVar(&options.all, "all", false, "all groups of the namespace")
	options.selector.bind(cmd)
	_ = cmd.RegisterFlagCompletionFunc("for", completeFrom(view.States()...))
	return cmd
}

// bind adds the flag that every command has that can wait.
func (o *waitOptions) bind(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait at most, such as 90s or 2h; for ever by default")
}

// untold is an error that leaves open how groups ended.
func untold(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok || err == nil {
		return err
	}
	return &exitError{code: exitUntold, err: err}
}

// waiting is one wait.
type waiting struct {
	names []string
	until string
	// last is how each group was when it was last seen, by name.
	last map[string]v1alpha1.TaskGroup
	// gone are those that were deleted meanwhile.
	gone map[string]bool
}

// wait waits for groups that exist when it begins.
func (a *app) wait(ctx context.Context, session *cluster.Session, names []string, options *waitOptions) error {
	for _, name := range names {
		if _, err := session.Get(ctx, name); err != nil {
			return untold(err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	if options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, options.timeout, errTimeout)
		defer cancel()
	}
	defer stop()
	reporter := progress.NewReporter(a.Err, a.Clock)
	w := &waiting{names: names, until: options.until, last: map[string]v1alpha1.TaskGroup{}, gone: map[string]bool{}}
	done := func() {}
	if reporter.Live() {
		done = a.redraw(ctx, reporter.Redraw)
	}
	err := session.Follow(ctx, cluster.Query{Namespace: session.Namespace, Names: names, Selector: options.selector.labels},
		func(groups []v1alpha1.TaskGroup) bool {
			reporter.Show(groups)
			return w.see(groups)
		})
	stop()
	done()
	switch {
	case errors.Is(err, errTimeout):
		return &exitError{code: exitTimeout, err: fmt.Errorf("%w, and %s", errTimeout, w.unfinished())}
	case err != nil:
		return untold(err)
	case len(w.last) == 0:
		return untold(fmt.Errorf("there are no such groups in the namespace %s", session.Namespace))
	}
	return w.outcome(a)
}

// see notes how the groups are, and says whether none is left to wait for.
func (w *waiting) see(groups []v1alpha1.TaskGroup) (enough bool) {
	here := map[string]bool{}
	left := 0
	for i := range groups {
		tg := &groups[i]
		here[tg.Name] = true
		w.last[tg.Name] = *tg
		delete(w.gone, tg.Name)
		if !tg.Status.IsFinished() && !view.Is(tg, w.until) {
			left++
		}
	}
	for name := range w.last {
		if !here[name] {
			w.gone[name] = true
		}
	}
	for _, name := range w.names {
		if !here[name] {
			w.gone[name] = true
		}
	}
	return left == 0
}

func (w *waiting) unfinished() string {
	var names []string
	for name, tg := range w.last {
		if !tg.Status.IsFinished() && !w.gone[name] {
			names = append(names, fmt.Sprintf("%s is %s", name, tg.Status.Reason()))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// outcome is the worst of all, failure before cancellation.
func (w *waiting) outcome(a *app) error {
	code, worst := exitDone, ""
	for _, name := range slices.Sorted(maps.Keys(w.last)) {
		tg := w.last[name]
		switch c := w.codeOf(&tg); {
		case c == exitFailed && code != exitFailed, c == exitCancelled && code == exitDone:
			code, worst = c, name
		}
	}
	if code == exitDone {
		return nil
	}
	tg := w.last[worst]
	if next := view.WhatNext(&tg, a.Name); len(next) > 0 && !w.gone[worst] {
		if terminal.Is(a.Err) {
			// A bar has no room for all of the message; a line has said it already.
			fmt.Fprintln(a.Err, progress.Line(&tg))
		}
		fmt.Fprintf(a.Err, "next: %s\n", next[0])
	}
	return &exitError{code: code}
}

func (w *waiting) codeOf(tg *v1alpha1.TaskGroup) int {
	switch {
	case view.Is(tg, w.until) && w.until != "finished":
		return exitDone
	case w.gone[tg.Name] && !tg.Status.IsFinished():
		return exitCancelled
	}
	switch view.StageOf(tg) {
	case view.Cancelled:
		return exitCancelled
	case view.Failed:
		return exitFailed
	case view.Completed:
		// A state on the way was there, though too short to be seen.
		if w.until == "failed" || w.until == "cancelled" {
			return exitFailed
		}
	case view.Waiting, view.Running:
	}
	return exitDone
}

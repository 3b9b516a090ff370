// SPDX-License-Identifier: Apache-2.0

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
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	targets
	until   string
	timeout time.Duration
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
	return o.targets.Validate(names)
}

func (a *app) waitCommand() *cobra.Command {
	var options waitOptions
	cmd := &cobra.Command{
		Use:   "wait NAME... | -l LABELS | --all",
		Short: "Wait until groups have finished; the exit code has the result",
		Long: `Wait until groups have finished, or are in the state of --for. Each has a bar on a
terminal, and elsewhere a line for each change.

The exit code is for scripts:
  0  all Completed, or in the state of --for
  1  one failed, or finished in another state than --for
  2  wrong usage
  3  none failed, and one was cancelled or deleted
  4  the time of --timeout is over
  5  the result is unknown: group not found or cluster unreachable
130  interrupted by Ctrl-C or SIGTERM`,
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
				return unknown(err)
			}
			return a.wait(cmd.Context(), session, keysOf(session.Namespace, names), &options)
		}),
	}
	options.bind(cmd)
	options.targets.bind(cmd, "all groups of the namespace")
	cmd.Flags().StringVar(&options.until, "for", "finished", "state to wait for: active, finished, a stage, or a word of the column STATUS")
	_ = cmd.RegisterFlagCompletionFunc("for", completeFrom(view.States()...))
	return cmd
}

// bind adds the flag that every command has that can wait.
func (o *waitOptions) bind(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "how long to wait at most, such as 90s or 2h; for ever by default")
}

// unknown is an error that leaves open how groups finished.
func unknown(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok || err == nil {
		return err
	}
	return &exitError{code: exitUnknown, err: err}
}

// waiting is one wait.
type waiting struct {
	keys  []client.ObjectKey
	until string
	// last is the last observed state of each group.
	last map[client.ObjectKey]v1alpha1.TaskGroup
	// gone are the groups that were deleted meanwhile.
	gone map[client.ObjectKey]bool
}

// wait waits for groups that exist when it begins.
func (a *app) wait(ctx context.Context, session *cluster.Session, keys []client.ObjectKey, options *waitOptions) error {
	var missing failures
	for _, key := range keys {
		if _, err := session.In(key.Namespace).Get(ctx, key.Name); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) > 0 {
		return unknown(missing)
	}
	ctx, stop := context.WithCancel(ctx)
	if options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, options.timeout, errTimeout)
		defer cancel()
	}
	defer stop()
	reporter := progress.NewReporter(a.Err, a.Clock)
	w := &waiting{keys: keys, until: options.until, last: map[client.ObjectKey]v1alpha1.TaskGroup{}, gone: map[client.ObjectKey]bool{}}
	done := func() {}
	if reporter.Live() {
		done = a.redraw(ctx, reporter.Redraw)
	}
	query := cluster.Query{Namespace: options.namespace(session), Keys: keys, Selector: options.selector.labels}
	if len(keys) > 0 {
		query.Namespace = commonNamespace(keys)
	}
	err := session.Follow(ctx, query,
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
		return unknown(err)
	case len(w.last) == 0:
		return unknown(options.none(session))
	}
	return w.outcome(a)
}

// see notes how the groups are, and reports whether none is left to wait for.
func (w *waiting) see(groups []v1alpha1.TaskGroup) (enough bool) {
	here := map[client.ObjectKey]bool{}
	left := 0
	for i := range groups {
		tg := &groups[i]
		key := client.ObjectKeyFromObject(tg)
		here[key] = true
		w.last[key] = *tg
		delete(w.gone, key)
		if !tg.Status.IsFinished() && !view.Is(tg, w.until) {
			left++
		}
	}
	for _, key := range slices.AppendSeq(slices.Clone(w.keys), maps.Keys(w.last)) {
		if !here[key] {
			w.gone[key] = true
		}
	}
	return left == 0
}

func (w *waiting) unfinished() string {
	var names []string
	for key, tg := range w.last {
		if !tg.Status.IsFinished() && !w.gone[key] {
			names = append(names, fmt.Sprintf("%s is %s", key.Name, tg.Status.Reason()))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// outcome is the worst of all, failure before cancellation.
func (w *waiting) outcome(a *app) error {
	code, worst := exitDone, client.ObjectKey{}
	for _, key := range slices.SortedFunc(maps.Keys(w.last), compareKeys) {
		tg := w.last[key]
		switch c := w.codeOf(&tg); {
		case c == exitFailed && code != exitFailed, c == exitCancelled && code == exitDone:
			code, worst = c, key
		}
	}
	if code == exitDone {
		return nil
	}
	tg := w.last[worst]
	if next := view.WhatNext(&tg, a.Name); len(next) > 0 && !w.gone[worst] {
		if terminal.Is(a.Err) {
			// A bar has no room for all of the message; a line has shown it already.
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
	case w.gone[client.ObjectKeyFromObject(tg)] && !tg.Status.IsFinished():
		return exitCancelled
	}
	switch view.StageOf(tg) {
	case view.Cancelled:
		return exitCancelled
	case view.Failed:
		return exitFailed
	case view.Completed:
		if !isIntermediate(w.until) {
			return exitFailed
		}
	case view.Waiting, view.Running:
	}
	return exitDone
}

// isIntermediate reports whether every group that completes was in the state before:
// it may have been too short to be observed.
func isIntermediate(state string) bool {
	switch state {
	case "finished", "completed", "active", "waiting", "pending", "queued", "starting", "running":
		return true
	}
	return false
}

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/asset"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/podlog"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// taskContainer is the container that runs the tasks of a pod.
const taskContainer = "tasks"

// logsOptions are the flags of logs.
type logsOptions struct {
	follow  bool
	task    int64
	attempt int32
	stderr  bool
	tail    int64
	since   time.Duration
	targets targets
	mounts  mountFlag
}

// Validate rejects flags that do not work together.
func (o *logsOptions) Validate(names []string) error {
	switch {
	case o.follow && (o.stderr || o.attempt > 0):
		return misused("--follow is for what runs now: leave out --stderr and --attempt")
	case o.stderr && (o.tail >= 0 || o.since > 0):
		return misused("--tail and --since are for the logs of pods: leave out --stderr")
	case o.since < 0 || o.tail < -1:
		return misused("--since and --tail are 0 or more")
	case len(names) > 1:
		return misused("name one group, or select several with -l, --dispatch, --dispatcher or --all")
	}
	return o.targets.Validate(names)
}

func (a *app) logsCommand() *cobra.Command {
	options := logsOptions{task: -1, tail: -1, mounts: a.newMounts()}
	cmd := &cobra.Command{
		Use:   "logs NAME | -l LABELS | --all",
		Short: "Show what the tasks printed",
		Long: `Show what the tasks printed, with the runner's marks of where each begins and
ends. It is read from the group's pods; where they were deleted, or with --stderr
(a pod's log has both streams in one), from the store that the group's outputs
go to, if this machine can read it. The lines of several groups begin with the name
of their group.`,
		Example: a.text(`  {cmd} logs -f my-group
  {cmd} logs my-group --task 3
  {cmd} logs my-group --tail 20 --since 10m
  {cmd} logs -f -l team=a
  {cmd} logs my-group --attempt 1 --stderr --mount /assets=./assets`),
		ValidArgsFunction: one(a.completeNames(anyGroup)),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := options.Validate(names); err != nil {
				return err
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.logsOfAll(cmd.Context(), session, names, &options)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.follow, "follow", "f", false, "wait for pods, and show what they print until the group has finished")
	flags.Int64Var(&options.task, "task", -1, "only the task with this nodeID")
	flags.Int32Var(&options.attempt, "attempt", 0, "that attempt's; the newest by default")
	flags.BoolVar(&options.stderr, "stderr", false, "only the standard error, from the store")
	flags.Int64Var(&options.tail, "tail", -1, "only the last lines of each pod; all by default")
	flags.DurationVar(&options.since, "since", 0, "only lines that are not older than this, such as 90s or 2h")
	options.targets.bind(cmd, "all groups of the namespace")
	_ = cmd.RegisterFlagCompletionFunc("task", a.completeTasks)
	options.mounts.bind(cmd)
	return cmd
}

// logsOfAll shows the logs of the selected groups, one after the other or, with --follow,
// side by side.
func (a *app) logsOfAll(ctx context.Context, session *cluster.Session, names []string, options *logsOptions) error {
	groups, err := options.targets.read(ctx, session, names)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return options.targets.none(session)
	}
	writer := podlog.NewWriter(a.Out, a.palette)
	show := func(tg *v1alpha1.TaskGroup) error {
		l := &logging{session: session, tg: tg, reader: options.mounts.mounts, attempt: cmp.Or(options.attempt, max(tg.Status.Attempt, 1)), writer: writer, messages: a.Err}
		if len(names) == 0 {
			l.prefix = tg.Name + ": "
		}
		return a.logs(ctx, l, options)
	}
	if !options.follow {
		var errs failures
		for i := range groups {
			errs = append(errs, show(&groups[i]))
		}
		return joined(errs...)
	}
	errs := make(failures, len(groups))
	var all sync.WaitGroup
	for i := range groups {
		all.Go(func() { errs[i] = show(&groups[i]) })
	}
	all.Wait()
	return joined(errs...)
}

// logs shows the log of one group.
func (a *app) logs(ctx context.Context, l *logging, options *logsOptions) error {
	tg := l.tg
	if options.tail >= 0 {
		l.tail = &options.tail
	}
	if options.since > 0 {
		l.since = &metav1.Time{Time: a.Clock.Now().Add(-options.since)}
	}
	if options.task >= 0 {
		if !slices.ContainsFunc(tg.Spec.Tasks, func(t v1alpha1.TaskSpec) bool { return int64(t.NodeID) == options.task }) {
			return misused("%s has no task %d: it has %s", tg.Name, options.task, nodesOf(tg))
		}
		// The writers of several groups share the lock of one output.
		l.writer = l.writer.OnlyTask(v1alpha1.NodeID(options.task))
	}
	switch {
	case options.follow:
		return l.follow(ctx)
	case options.stderr:
		return l.fromStore(ctx, l.wanted(), contract.AssetStderr)
	}
	return l.once(ctx)
}

func nodesOf(tg *v1alpha1.TaskGroup) string {
	ids := make([]string, 0, len(tg.Spec.Tasks))
	for i := range tg.Spec.Tasks {
		ids = append(ids, tg.Spec.Tasks[i].NodeID.String())
	}
	return strings.Join(ids, ", ")
}

// logging shows the log of one group.
type logging struct {
	session *cluster.Session
	tg      *v1alpha1.TaskGroup
	reader  asset.Reader
	attempt int32
	// tail and since bound what is shown of each pod; nil for all.
	tail   *int64
	since  *metav1.Time
	writer *podlog.Writer
	// prefix is before each line, if several groups are shown.
	prefix string
	// messages receives notes that are not part of a log.
	messages io.Writer
}

// once shows what exists now: the logs of the pods of the attempt, and the streams of
// the store for the tasks whose pod or whose begin is missing.
func (l *logging) once(ctx context.Context) error {
	pods, err := l.podsOfAttempt(ctx)
	if err != nil {
		return err
	}
	if len(pods) == 0 && l.tg.Status.Attempt == 0 {
		return &cluster.Problem{What: fmt.Sprintf("%s has no pod yet: it is %s", l.tg.Name, l.tg.Status.Reason()), Next: "-f waits until it has"}
	}
	shown := map[v1alpha1.NodeID]bool{}
	for i := range pods {
		switch err := l.show(ctx, &pods[i]); {
		case err == nil:
			for _, node := range l.tasksOf(&pods[i]) {
				shown[node] = true
			}
		case apierrors.IsBadRequest(err) && !l.tg.Status.IsFinished():
			return &cluster.Problem{What: fmt.Sprintf("pod %s has not started: %s", pods[i].Name, l.tg.Status.Message()), Next: "-f waits until it has", Err: err}
		case !errors.Is(err, errRotated) && !hasNoMore(err):
			return fmt.Errorf("reading the log of pod %s: %w", pods[i].Name, err)
		}
	}
	return l.showMissing(ctx, pods, shown)
}

// showMissing shows the tasks of the attempt that no pod showed.
func (l *logging) showMissing(ctx context.Context, pods []corev1.Pod, shown map[v1alpha1.NodeID]bool) error {
	missing := slices.DeleteFunc(l.wanted(), func(node v1alpha1.NodeID) bool {
		return shown[node] || len(shown) > 0 && !l.ranInAttempt(node)
	})
	if len(missing) == 0 {
		return nil
	}
	err := l.fromStore(ctx, missing, contract.AssetStdout, contract.AssetStderr)
	if err == nil || l.writer.Only == nil || len(pods) == 0 {
		return err
	}
	return l.showRest(ctx, &pods[len(pods)-1], err)
}

// ranInAttempt reports whether a task may have a log of the attempt.
func (l *logging) ranInAttempt(node v1alpha1.NodeID) bool {
	status := view.StatusOf(l.tg, node)
	return status.State != v1alpha1.TaskPending && (status.Attempt == 0 || status.Attempt == l.attempt)
}

// showRest shows the end of a rotated log, if the store has no copy because of err.
func (l *logging) showRest(ctx context.Context, pod *corev1.Pod, err error) error {
	stream, openErr := l.open(ctx, pod)
	if openErr != nil {
		return err
	}
	defer stream.Close()
	if err := l.writer.CopyRest(stream, l.prefixOf(pod)); err != nil {
		return err
	}
	fmt.Fprintf(l.messages, "the begin of the log of task %d is missing: the kubelet keeps only the newest part of a long log\n", *l.writer.Only)
	return nil
}

// podsOfAttempt returns the pods of the attempt in the order of their tasks.
func (l *logging) podsOfAttempt(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := l.session.Pods(ctx, l.tg)
	if err != nil {
		return nil, err
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.AttemptLabel] != strconv.Itoa(int(l.attempt)) || !l.wants(&pod)
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(l.position(&a), l.position(&b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
	})
	return pods, nil
}

// tasksOf returns the tasks that a pod runs.
func (l *logging) tasksOf(pod *corev1.Pod) []v1alpha1.NodeID {
	var nodes []v1alpha1.NodeID
	for i := range l.tg.Spec.Tasks {
		if !l.isParallel() || i == l.position(pod) {
			nodes = append(nodes, l.tg.Spec.Tasks[i].NodeID)
		}
	}
	return nodes
}

// errRotated is a log without the begin of the task to show.
var errRotated = errors.New("the begin of the task is missing in the log")

func (l *logging) open(ctx context.Context, pod *corev1.Pod) (io.ReadCloser, error) {
	return l.session.Logs(ctx, client.ObjectKeyFromObject(pod), &corev1.PodLogOptions{Container: taskContainer, TailLines: l.tail, SinceTime: l.since})
}

// show copies a pod's log. With --task, a log without the begin of the task is
// errRotated, unless only its end was requested.
func (l *logging) show(ctx context.Context, pod *corev1.Pod) error {
	stream, err := l.open(ctx, pod)
	if err != nil {
		return err
	}
	defer stream.Close()
	if l.writer.Only == nil || l.tail != nil || l.since != nil {
		return l.writer.Copy(stream, l.prefixOf(pod))
	}
	whole, err := l.writer.CopyWhole(stream, l.prefixOf(pod))
	if err == nil && !whole && view.StatusOf(l.tg, *l.writer.Only).State != v1alpha1.TaskPending {
		return errRotated
	}
	return err
}

// prefixOf returns the prefix of the lines of a pod: its task, if others run beside it.
func (l *logging) prefixOf(pod *corev1.Pod) string {
	if l.isParallel() && l.writer.Only == nil {
		if i := l.position(pod); i >= 0 && i < len(l.tg.Spec.Tasks) {
			return fmt.Sprintf("%s[%d] ", l.prefix, l.tg.Spec.Tasks[i].NodeID)
		}
	}
	return l.prefix
}

func (l *logging) isParallel() bool { return l.tg.Spec.Execution == v1alpha1.Parallel }

// position is the position of a pod's task in the group; 0 where the pod has them all, and
// after the last for one that is none of the group's.
func (l *logging) position(pod *corev1.Pod) int {
	if position, ok := view.TaskOf(l.tg, pod); ok {
		return position
	}
	return len(l.tg.Spec.Tasks)
}

// wants reports whether a pod may have something that is to be shown.
func (l *logging) wants(pod *corev1.Pod) bool {
	if l.writer.Only == nil || !l.isParallel() {
		return true
	}
	i := l.position(pod)
	return i < len(l.tg.Spec.Tasks) && l.tg.Spec.Tasks[i].NodeID == *l.writer.Only
}

// fromStore shows streams that were uploaded, each under a title.
func (l *logging) fromStore(ctx context.Context, nodes []v1alpha1.NodeID, keys ...contract.AssetKey) error {
	if l.tg.Spec.Assets == nil || l.tg.Spec.Assets.Outputs == "" {
		return &cluster.Problem{
			What: fmt.Sprintf("the pods of attempt %d of %s were deleted, and the group stores no streams: it has no spec.assets.outputs", l.attempt, l.tg.Name),
			Next: "give groups a location for outputs to store what they print: submit --outputs URI",
		}
	}
	shown := 0
	var errs []error
	for _, node := range nodes {
		for _, key := range keys {
			text := section{w: l.writer.W, title: func() { l.title(node, key, len(keys) > 1 || l.writer.Only == nil) }}
			err := asset.Stream(ctx, l.reader, l.tg, asset.Source{Attempt: l.attempt, Node: node, Key: key}, &text)
			text.end()
			switch {
			case err == nil:
				shown++
			case text.begun:
				shown++
				fmt.Fprintf(l.messages, "the end of the %s of task %d is missing: %v\n", key, node, err)
			default:
				errs = append(errs, err)
			}
		}
	}
	if shown > 0 || len(errs) == 0 {
		return nil
	}
	return unreadable(errs[0])
}

// section writes a stream below a title, which an empty one does not have.
type section struct {
	w     io.Writer
	title func()
	begun bool
	last  byte
}

// Write writes a part of the stream.
func (s *section) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !s.begun {
		s.begun = true
		s.title()
	}
	s.last = p[len(p)-1]
	return s.w.Write(p)
}

// end completes the last line.
func (s *section) end() {
	if s.begun && s.last != '\n' {
		_, _ = io.WriteString(s.w, "\n")
	}
}

func (l *logging) title(node v1alpha1.NodeID, key contract.AssetKey, wanted bool) {
	if wanted {
		fmt.Fprintf(l.writer.W, "==> %stask %d: %s <==\n", l.prefix, node, key)
	}
}

// wanted returns the tasks to show.
func (l *logging) wanted() []v1alpha1.NodeID {
	if l.writer.Only != nil {
		return []v1alpha1.NodeID{*l.writer.Only}
	}
	nodes := make([]v1alpha1.NodeID, 0, len(l.tg.Spec.Tasks))
	for i := range l.tg.Spec.Tasks {
		nodes = append(nodes, l.tg.Spec.Tasks[i].NodeID)
	}
	return nodes
}

// unreadable is a store that this machine cannot read.
func unreadable(err error) error {
	if problem, ok := errors.AsType[*cluster.Problem](err); ok {
		return problem
	}
	if errors.Is(err, asset.ErrNone) {
		return &cluster.Problem{What: err.Error(), Next: "give groups a location for outputs: submit --outputs URI", Err: err}
	}
	return &cluster.Problem{
		What: err.Error(),
		Next: "where a volume of the pods is mounted on this machine, say so with --mount /path/in/the/pods=FOLDER; results --download reads it through a pod; other stores take the environment's credentials (docs/stores.md)",
		Err:  err,
	}
}

// mountFlag is the flag --mount.
type mountFlag struct{ mounts *asset.Mounts }

func (a *app) newMounts() mountFlag {
	return mountFlag{&asset.Mounts{Reader: asset.Stores(a.gateway())}}
}

func (m mountFlag) bind(cmd *cobra.Command) {
	cmd.Flags().Var(m, "mount", "where a volume of the pods is mounted here, as /path/in/the/pods=FOLDER (repeatable)")
}

// Set adds a place.
func (m mountFlag) Set(text string) error { return m.mounts.Add(text) }

// String is empty: there is no default.
func (m mountFlag) String() string { return "" }

// Type is what --help shows.
func (m mountFlag) Type() string { return "path=folder" }

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
	mounts  mountFlag
}

func (a *app) logsCommand() *cobra.Command {
	options := logsOptions{task: -1, mounts: newMounts()}
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show what the tasks printed",
		Long: `Show what the tasks printed, with the runner's marks of where each begins and
ends. It is read from the group's pods; where they are gone, or with --stderr
(a pod's log has both streams in one), from the store that the group's outputs
go to, if this machine can read it.`,
		Example: a.text(`  {cmd} logs -f my-group
  {cmd} logs my-group --task 3
  {cmd} logs my-group --attempt 1 --stderr --mount /assets=./assets`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: one(a.completeNames(anyGroup)),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if options.follow && (options.stderr || options.attempt > 0) {
				return misused("--follow is for what runs now: leave out --stderr and --attempt")
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.logs(cmd.Context(), session, names[0], &options)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&options.follow, "follow", "f", false, "wait for pods, and show what they print until the group has ended")
	flags.Int64Var(&options.task, "task", -1, "only the task with this nodeID")
	flags.Int32Var(&options.attempt, "attempt", 0, "that attempt's; the newest by default")
	flags.BoolVar(&options.stderr, "stderr", false, "only the standard error, from the store")
	_ = cmd.RegisterFlagCompletionFunc("task", a.completeTasks)
	options.mounts.bind(cmd)
	return cmd
}

func (a *app) logs(ctx context.Context, session *cluster.Session, name string, options *logsOptions) error {
	tg, err := session.Get(ctx, name)
	if err != nil {
		return err
	}
	l := &logging{session: session, tg: tg, reader: options.mounts.mounts, attempt: cmp.Or(options.attempt, max(tg.Status.Attempt, 1)),
		writer: &podlog.Writer{W: a.Out, Palette: a.palette}}
	if options.task >= 0 {
		if !slices.ContainsFunc(tg.Spec.Tasks, func(t v1alpha1.TaskSpec) bool { return int64(t.NodeID) == options.task }) {
			return misused("%s has no task %d: it has %s", name, options.task, nodesOf(tg))
		}
		l.writer.Only = new(v1alpha1.NodeID(options.task))
	}
	switch {
	case options.follow:
		return l.follow(ctx)
	case options.stderr:
		return l.fromStore(ctx, contract.AssetStderr)
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
}

// once shows what there is now.
func (l *logging) once(ctx context.Context) error {
	pods, err := l.session.Pods(ctx, l.tg)
	if err != nil {
		return err
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.AttemptLabel] != strconv.Itoa(int(l.attempt)) || !l.wants(&pod)
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(l.position(&a), l.position(&b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
	})
	for i := range pods {
		err := l.show(ctx, &pods[i])
		switch {
		case apierrors.IsBadRequest(err) && !l.tg.Status.IsFinished():
			return &cluster.Problem{What: fmt.Sprintf("pod %s has not started: %s", pods[i].Name, l.tg.Status.Message()), Next: "-f waits until it has", Err: err}
		case apierrors.IsNotFound(err) || apierrors.IsBadRequest(err):
			// It went meanwhile, or its container never ran.
			return l.fromStore(ctx, contract.AssetStdout, contract.AssetStderr)
		case err != nil:
			return fmt.Errorf("reading the log of pod %s: %w", pods[i].Name, err)
		}
	}
	if len(pods) > 0 {
		return nil
	}
	if l.tg.Status.Attempt == 0 {
		return &cluster.Problem{What: fmt.Sprintf("%s has no pod yet: it is %s", l.tg.Name, l.tg.Status.Reason()), Next: "-f waits until it has"}
	}
	return l.fromStore(ctx, contract.AssetStdout, contract.AssetStderr)
}

// show copies a pod's log.
func (l *logging) show(ctx context.Context, pod *corev1.Pod) error {
	stream, err := l.session.Logs(ctx, client.ObjectKeyFromObject(pod), &corev1.PodLogOptions{Container: taskContainer, TailLines: l.tail, SinceTime: l.since})
	if err != nil {
		return err
	}
	defer stream.Close()
	return l.writer.Copy(stream, l.prefixOf(pod))
}

// prefixOf returns the prefix of the lines of a pod: its task, if others run beside it.
func (l *logging) prefixOf(pod *corev1.Pod) string {
	if l.isParallel() && l.writer.Only == nil {
		if i := l.position(pod); i >= 0 && i < len(l.tg.Spec.Tasks) {
			return fmt.Sprintf("[%d] ", l.tg.Spec.Tasks[i].NodeID)
		}
	}
	return ""
}

func (l *logging) isParallel() bool { return l.tg.Spec.Execution == v1alpha1.Parallel }

// position is that of a pod's task in the group; 0 where the pod has them all, and
// after the last for one that is none of the group's.
func (l *logging) position(pod *corev1.Pod) int {
	if position, ok := view.TaskOf(l.tg, pod); ok {
		return position
	}
	return len(l.tg.Spec.Tasks)
}

// wants says whether a pod may have something that is to be shown.
func (l *logging) wants(pod *corev1.Pod) bool {
	if l.writer.Only == nil || !l.isParallel() {
		return true
	}
	i := l.position(pod)
	return i < len(l.tg.Spec.Tasks) && l.tg.Spec.Tasks[i].NodeID == *l.writer.Only
}

// fromStore shows streams that were uploaded, each under a title.
func (l *logging) fromStore(ctx context.Context, keys ...contract.AssetKey) error {
	if l.tg.Spec.Assets == nil || l.tg.Spec.Assets.Outputs == "" {
		return &cluster.Problem{
			What: fmt.Sprintf("no pod of attempt %d of %s is left, and the group keeps no streams: it has no spec.assets.outputs", l.attempt, l.tg.Name),
			Next: "give groups a place for outputs to keep what they print: submit --outputs URI",
		}
	}
	shown := 0
	var errs []error
	for i := range l.tg.Spec.Tasks {
		node := l.tg.Spec.Tasks[i].NodeID
		if l.writer.Only != nil && node != *l.writer.Only {
			continue
		}
		for _, key := range keys {
			var text strings.Builder
			err := asset.Stream(ctx, l.reader, l.tg, asset.Source{Attempt: l.attempt, Node: node, Key: key}, &text)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			shown++
			if text.Len() > 0 {
				l.title(node, key, len(keys) > 1 || l.writer.Only == nil)
				_, _ = io.WriteString(l.writer.W, strings.TrimSuffix(text.String(), "\n")+"\n")
			}
		}
	}
	if shown > 0 || len(errs) == 0 {
		return nil
	}
	return unreadable(errs[0])
}

func (l *logging) title(node v1alpha1.NodeID, key contract.AssetKey, wanted bool) {
	if wanted {
		fmt.Fprintf(l.writer.W, "==> task %d: %s <==\n", node, key)
	}
}

// unreadable is a store that this machine cannot read.
func unreadable(err error) error {
	if errors.Is(err, asset.ErrNone) {
		return &cluster.Problem{What: err.Error(), Next: "give groups a place for outputs: submit --outputs URI", Err: err}
	}
	return &cluster.Problem{
		What: err.Error(),
		Next: "where a volume of the pods is mounted on this machine, say so with --mount /path/in/the/pods=FOLDER; other stores take the environment's credentials (docs/stores.md)",
		Err:  err,
	}
}

// mountFlag is the flag --mount.
type mountFlag struct{ mounts *asset.Mounts }

func newMounts() mountFlag { return mountFlag{&asset.Mounts{Reader: asset.Stores()}} }

func (m mountFlag) bind(cmd *cobra.Command) {
	cmd.Flags().Var(m, "mount", "where a volume of the pods is mounted here, as /path/in/the/pods=FOLDER (repeatable)")
}

// Set adds a place.
func (m mountFlag) Set(text string) error { return m.mounts.Add(text) }

// String is empty: there is no default.
func (m mountFlag) String() string { return "" }

// Type is what --help shows.
func (m mountFlag) Type() string { return "path=folder" }

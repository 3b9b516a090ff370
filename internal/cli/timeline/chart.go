// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// Kind is what a task does for a while.
type Kind string

// The kinds, in the order of a life.
const (
	Queued    Kind = "queued"
	Starting  Kind = "starting"
	Turn      Kind = "waits its turn"
	Running   Kind = "running"
	Completed Kind = "completed"
	Failed    Kind = "failed"
	Cancelled Kind = "cancelled"
)

// kinds are all of them.
var kinds = []Kind{Queued, Starting, Turn, Running, Completed, Failed, Cancelled}

// Span is a while.
type Span struct {
	Kind     Kind
	From, To time.Time
}

// Row is a line of the picture.
type Row struct {
	Label string
	// Depth is 0 for a group, 1 for what is part of it.
	Depth int
	Spans []Span
	// Note is at the end of the line.
	Note string
}

// Chart is what is drawn: rows over one axis.
type Chart struct {
	From, To time.Time
	Rows     []Row
}

// Input is what is known of a group. All but the group may be missing.
type Input struct {
	Group     *v1alpha1.TaskGroup
	Pods      []corev1.Pod
	Manifests []contract.Manifest
}

// longest is what a picture may span: more is a clock that was wrong.
const longest = 10 * 365 * 24 * time.Hour

// Build makes a chart of groups, as they are now.
func Build(inputs []Input, now time.Time) Chart {
	var chart Chart
	for i := range inputs {
		chart.Rows = append(chart.Rows, rowsOf(&inputs[i], now)...)
	}
	for _, row := range chart.Rows {
		for _, span := range row.Spans {
			if chart.From.IsZero() || span.From.Before(chart.From) {
				chart.From = span.From
			}
			if span.To.After(chart.To) {
				chart.To = span.To
			}
		}
	}
	if chart.From.IsZero() {
		chart.From = now
	}
	if chart.To.Sub(chart.From) < time.Second {
		chart.To = chart.From.Add(time.Second)
	}
	return chart
}

// life is the times of a group that can be true.
type life struct {
	base time.Time
	// created, placed, began and ended are zero where they are not known.
	created, placed, began, ended time.Time
	finished                      bool
}

func lifeOf(in *Input, now time.Time) life {
	tg := in.Group
	l := life{finished: tg.Status.IsFinished()}
	for _, t := range []time.Time{view.CreatedAt(tg), view.At(tg.Status.StartTime), view.At(tg.Status.CompletionTime), now} {
		if year := t.UTC().Year(); year >= 2000 && year < 2200 {
			l.base = t
			break
		}
	}
	l.created = l.possible(view.CreatedAt(tg))
	l.placed = l.possible(placedAt(in.Pods, "1"))
	l.began = l.possible(view.At(tg.Status.StartTime))
	l.ended = l.possible(view.At(tg.Status.CompletionTime))
	if l.ended.IsZero() && !l.finished {
		l.ended = l.possible(now)
	}
	return l
}

// possible moves a time to where it can be; one that is missing stays so.
func (l *life) possible(t time.Time) time.Time {
	switch {
	case t.IsZero() || t.Unix() <= 0:
		return time.Time{}
	case t.Before(l.base):
		return l.base
	case t.After(l.base.Add(longest)):
		return l.base.Add(longest)
	}
	return t
}

// placedAt is when the first pod of an attempt got a node.
func placedAt(pods []corev1.Pod, attempt string) (at time.Time) {
	for i := range pods {
		if pods[i].Labels[v1alpha1.AttemptLabel] != attempt {
			continue
		}
		for _, condition := range pods[i].Status.Conditions {
			t := condition.LastTransitionTime.Time
			if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionTrue && (at.IsZero() || t.Before(at)) {
				at = t
			}
		}
	}
	return at
}

func rowsOf(in *Input, now time.Time) []Row {
	l := lifeOf(in, now)
	tg := in.Group
	kind := kindOf(tg)
	head := Row{Label: tg.Name, Note: fmt.Sprintf("%s in %s", tg.Status.Reason(), view.Span(l.ended.Sub(l.created)))}
	if l.created.IsZero() || l.ended.IsZero() {
		head.Note = string(tg.Status.Reason())
	}
	head.Spans = append(l.before(l.began), spanOf(kind, l.began, l.ended)...)
	rows := append([]Row{head}, l.attempts(tg)...)
	records := map[contract.NodeID]*contract.TaskRecord{}
	for i := range in.Manifests {
		for j := range in.Manifests[i].Tasks {
			record := &in.Manifests[i].Tasks[j]
			records[record.NodeID] = record
		}
	}
	for i := range tg.Spec.Tasks {
		rows = append(rows, l.task(in, i, records[contract.NodeID(tg.Spec.Tasks[i].NodeID)]))
	}
	return rows
}

// kindOf is what the whole group does.
func kindOf(tg *v1alpha1.TaskGroup) Kind {
	switch view.StageOf(tg) {
	case view.Completed:
		return Completed
	case view.Failed:
		return Failed
	case view.Cancelled:
		return Cancelled
	default:
		return Running
	}
}

// before is what comes before a pod runs. Where it never ran, all is waiting.
func (l *life) before(began time.Time) []Span {
	end := began
	if end.IsZero() {
		end = l.ended
	}
	if l.placed.IsZero() || l.placed.After(end) {
		return spanOf(Queued, l.created, end)
	}
	return append(spanOf(Queued, l.created, l.placed), spanOf(Starting, l.placed, end)...)
}

// attempts are rows of their own where there is more than one.
func (l *life) attempts(tg *v1alpha1.TaskGroup) (rows []Row) {
	if len(tg.Status.Jobs) < 2 {
		return nil
	}
	from := l.began
	for i := range tg.Status.Jobs {
		job := &tg.Status.Jobs[i]
		end := l.possible(view.At(job.CompletionTime))
		kind := Failed
		switch job.Reason {
		case "":
			end, kind = l.ended, Running
		case v1alpha1.ReasonCompleted:
			kind = Completed
		case v1alpha1.ReasonCancelled:
			kind = Cancelled
		default:
		}
		note := string(job.Reason)
		if note == "" {
			note = "not finished"
		}
		rows = append(rows, Row{Label: "attempt " + strconv.Itoa(int(job.Attempt)), Depth: 1, Spans: spanOf(kind, from, end), Note: note})
		if !end.IsZero() {
			from = end
		}
	}
	return rows
}

// stateKinds are what the states of a task look like.
var stateKinds = map[v1alpha1.TaskState]Kind{
	v1alpha1.TaskCompleted: Completed, v1alpha1.TaskFailed: Failed, v1alpha1.TaskCancelled: Cancelled, v1alpha1.TaskRunning: Running,
}

func (l *life) task(in *Input, index int, record *contract.TaskRecord) Row {
	tg := in.Group
	status := view.StatusOf(tg, tg.Spec.Tasks[index].NodeID)
	row := Row{Label: "task " + status.NodeID.String(), Depth: 1, Note: string(status.State)}
	if status.Reason != "" {
		row.Note += ": " + string(status.Reason)
	}
	own := *l
	var former []Span
	if tg.Spec.Execution == v1alpha1.Parallel {
		former = own.takePods(tg, in.Pods, index)
	}
	if record != nil && record.StartTime != nil && record.EndTime != nil {
		start, end := l.possible(*record.StartTime), l.possible(*record.EndTime)
		row.Spans = append(former, own.ran(stateKinds[status.State], start, end)...)
		row.Note += " in " + view.Span(end.Sub(start))
		return row
	}
	row.Spans = append(former, own.before(own.began)...)
	if kind, known := stateKinds[status.State]; known {
		if record != nil {
			// It never ran: what there is to see is that it waited.
			kind = Turn
		}
		// The pod's time is all that is known.
		row.Spans = append(row.Spans, spanOf(kind, own.began, own.ended)...)
	}
	return row
}

// ran is the spans of a task whose times are recorded.
func (l *life) ran(kind Kind, start, end time.Time) []Span {
	began := l.began
	if began.IsZero() || began.After(start) {
		began = start
	}
	return slices.Concat(l.before(began), spanOf(Turn, began, start), spanOf(kind, start, end))
}

// takePods makes a life that of the last pod of one task of a Parallel group, and
// returns what the task did in the pods before it, each of which failed.
func (l *life) takePods(tg *v1alpha1.TaskGroup, pods []corev1.Pod, index int) (former []Span) {
	var own []corev1.Pod
	for i := range pods {
		if position, ok := view.TaskOf(tg, &pods[i]); ok && position == index {
			own = append(own, pods[i])
		}
	}
	slices.SortStableFunc(own, func(a, b corev1.Pod) int { return view.AttemptOf(&a) - view.AttemptOf(&b) })
	end := l.ended
	for i := range own {
		if i > 0 {
			former = append(former, l.before(l.began)...)
			former = append(former, spanOf(Failed, l.began, l.ended)...)
			l.created, l.began, l.ended = l.ended, time.Time{}, end
		}
		l.takePod(own[i : i+1])
	}
	return former
}

// takePod makes a life that of a pod.
func (l *life) takePod(pod []corev1.Pod) {
	l.placed = l.possible(placedAt(pod, pod[0].Labels[v1alpha1.AttemptLabel]))
	for _, container := range pod[0].Status.ContainerStatuses {
		if state := container.State.Running; state != nil {
			l.began = l.possible(state.StartedAt.Time)
		}
		if state := container.State.Terminated; state != nil {
			l.began, l.ended = l.possible(state.StartedAt.Time), l.possible(state.FinishedAt.Time)
		}
	}
}

// spanOf is no span where it would be none.
func spanOf(kind Kind, from, to time.Time) []Span {
	if from.IsZero() || to.IsZero() || !to.After(from) || kind == "" {
		return nil
	}
	return []Span{{Kind: kind, From: from, To: to}}
}

// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/progress"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Facts are what is known of a group.
type Facts struct {
	Group  *v1alpha1.TaskGroup
	Pods   []corev1.Pod
	Events []corev1.Event
	// Unknown reports what could not be read, and why.
	Unknown []string
	Now     time.Time
	// Command is how this program is called.
	Command string
	Palette terminal.Palette
}

// Fprint writes all of it.
func Fprint(w io.Writer, f *Facts) {
	f.head(w)
	f.timeline(w)
	f.attempts(w)
	f.tasks(w)
	f.events(w)
	f.next(w)
}

func (f *Facts) head(w io.Writer) {
	tg := f.Group
	done, all := view.Done(tg)
	reason := f.Palette.Paint(progress.Colours[view.StageOf(tg)], string(tg.Status.Reason()))
	field(w, "Name", tg.Name)
	field(w, "Namespace", tg.Namespace)
	field(w, "Status", fmt.Sprintf("%s, %d of %d tasks completed", reason, done, all))
	field(w, "Message", table.Clean(tg.Status.Message()))
	if why := view.WhyItWaits(tg); why != "" {
		field(w, "Why it waits", why)
	}
	field(w, "Labels", labels.FormatLabels(tg.Labels))
	field(w, "Queue", queue(tg))
	field(w, "Dispatch", tg.Spec.DispatchID)
	field(w, "Execution", execution(tg))
	if tg.Spec.Pod != nil {
		field(w, "Image", tg.Spec.Pod.Image)
	}
	field(w, "Node", tg.Status.NodeName)
	if retries := tg.Status.Retries; retries != nil {
		field(w, "Retries spent", fmt.Sprintf("%d of the tasks (%d after OOM kills), %d of the cluster", retries.User, retries.OOM, retries.Infrastructure))
	}
	if tg.Spec.Assets != nil {
		field(w, "Outputs", store.RedactURI(string(tg.Spec.Assets.Outputs)))
	}
	if manifest := tg.Status.Manifest; manifest != nil {
		field(w, "Manifest", store.RedactURI(manifest.URI))
	}
}

// queue names the local queue of Kueue, and its priority class.
func queue(tg *v1alpha1.TaskGroup) string {
	name := tg.Labels[v1alpha1.QueueLabel]
	if class := tg.Labels[v1alpha1.QueuePriorityLabel]; name != "" && class != "" {
		return fmt.Sprintf("%s (kueue.x-k8s.io), priority class %s", name, class)
	} else if name != "" {
		return name + " (kueue.x-k8s.io)"
	}
	return ""
}

func execution(tg *v1alpha1.TaskGroup) string {
	if tg.Spec.Execution != v1alpha1.Parallel {
		return "Sequential: all tasks in order in one pod"
	}
	if tg.Spec.Parallelism == nil {
		return "Parallel: a pod for each task"
	}
	return fmt.Sprintf("Parallel: a pod for each task, %d at a time", *tg.Spec.Parallelism)
}

// field writes a line where there is something to write.
func field(w io.Writer, name, value string) {
	if value != "" && value != "<none>" {
		fmt.Fprintf(w, "%-14s %s\n", name+":", value)
	}
}

func (f *Facts) title(w io.Writer, title string) {
	fmt.Fprintln(w, f.Palette.Paint(terminal.Bold, title)+":")
}

// moment is something that happened to the group.
type moment struct {
	at   time.Time
	what string
}

func (f *Facts) timeline(w io.Writer) {
	tg := f.Group
	moments := []moment{{view.CreatedAt(tg), "created"}, {view.At(tg.Status.StartTime), "the first pod started"}}
	for _, attempt := range view.Attempts(tg, nil) {
		if len(tg.Status.Jobs) > 1 {
			moments = append(moments, moment{attempt.End, fmt.Sprintf("attempt %d ended: %s", attempt.Number, attempt.Reason)})
		}
	}
	if deleted := view.At(tg.DeletionTimestamp); !deleted.IsZero() {
		moments = append(moments, moment{deleted, "deletion was requested"})
	}
	moments = append(moments, moment{view.At(tg.Status.CompletionTime), string(tg.Status.Reason())})
	moments = slices.DeleteFunc(moments, func(m moment) bool { return m.at.IsZero() })
	if len(moments) == 0 {
		return
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	f.title(w, "Timeline")
	out := table.Table{Indent: "  ", Palette: f.Palette}
	out.Header = []string{"TIME", "AFTER", "WHAT"}
	for _, m := range moments {
		out.Add(table.Text(m.at.UTC().Format(time.DateTime)), table.Text("+"+view.Span(m.at.Sub(moments[0].at))), table.Text(m.what))
	}
	if !tg.Status.IsFinished() {
		out.Add(table.Text(f.Now.UTC().Format(time.DateTime)), table.Text("+"+view.Span(f.Now.Sub(moments[0].at))), table.Text("now: "+string(tg.Status.Reason())))
	}
	out.Fprint(w)
}

func (f *Facts) attempts(w io.Writer) {
	attempts := view.Attempts(f.Group, f.Pods)
	if len(attempts) == 0 {
		return
	}
	f.title(w, "Attempts")
	out := table.Table{Indent: "  ", Palette: f.Palette, Header: []string{"ATTEMPT", "JOB", "MEMORY LIMIT", "ENDED", "REASON", "MESSAGE"}}
	for _, attempt := range attempts {
		reason := cmp.Or(attempt.Reason, "(not finished)")
		ended := ""
		if !attempt.End.IsZero() {
			ended = attempt.End.UTC().Format(time.TimeOnly)
		}
		out.Add(table.Text(strconv.Itoa(int(attempt.Number))), table.Text(attempt.Job), table.Text(attempt.Memory),
			table.Text(ended), table.Text(string(reason)), table.Blank(attempt.Message))
	}
	out.Fprint(w)
}

// stateColours are the colours of the states of tasks.
var stateColours = map[v1alpha1.TaskState]terminal.Colour{
	v1alpha1.TaskRunning: terminal.Blue, v1alpha1.TaskCompleted: terminal.Green,
	v1alpha1.TaskFailed: terminal.Red, v1alpha1.TaskCancelled: terminal.Dim,
}

func (f *Facts) tasks(w io.Writer) {
	f.title(w, "Tasks")
	out := table.Table{Indent: "  ", Palette: f.Palette, Header: []string{"TASK", "STATE", "REASON", "EXIT CODE", "WHAT", "MESSAGE"}}
	for i := range f.Group.Spec.Tasks {
		task := &f.Group.Spec.Tasks[i]
		status := view.StatusOf(f.Group, task.NodeID)
		code := ""
		if status.ExitCode != nil {
			code = strconv.Itoa(int(*status.ExitCode))
		}
		out.Add(table.Text(task.NodeID.String()), table.Cell{Text: string(status.State), Colour: stateColours[status.State]},
			table.Text(string(status.Reason)), table.Text(code), table.Text(view.What(f.Group, task)), table.Blank(status.Message))
	}
	out.Fprint(w)
}

func (f *Facts) events(w io.Writer) {
	if len(f.Events) == 0 {
		return
	}
	events := slices.Clone(f.Events)
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return EventTime(&a).Compare(EventTime(&b)) })
	f.title(w, "Events")
	out := table.Table{Indent: "  ", Palette: f.Palette, Header: []string{"AGE", "TYPE", "REASON", "FROM", "MESSAGE"}}
	for i := range events {
		event := &events[i]
		from := cmp.Or(event.ReportingController, event.Source.Component)
		out.Add(table.Text(view.Age(EventTime(event), f.Now)), table.Text(event.Type), table.Text(event.Reason), table.Text(from), table.Blank(event.Message))
	}
	out.Fprint(w)
}

// EventTime returns when an event was last observed. Each kind of recorder sets another
// field.
func EventTime(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil && !event.Series.LastObservedTime.IsZero():
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	}
	return event.CreationTimestamp.Time
}

func (f *Facts) next(w io.Writer) {
	for _, unknown := range f.Unknown {
		fmt.Fprintf(w, "Note: %s\n", strings.ReplaceAll(unknown, "\n", ": "))
	}
	next := view.WhatNext(f.Group, f.Command)
	if len(next) == 0 {
		return
	}
	f.title(w, "What to do next")
	for _, line := range next {
		fmt.Fprintln(w, "  "+line)
	}
}

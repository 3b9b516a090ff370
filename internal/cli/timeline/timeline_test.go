// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"bytes"
	encodingxml "encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// completed has all that can be known: a pod that was placed after a second, and
// the record of two tasks.
func completed() Input {
	tg := testkit.CompletedSample("commands")
	at := func(seconds int) *time.Time { return &testkit.After(time.Duration(seconds) * time.Second).Time }
	return Input{
		Group: tg,
		Pods: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.AttemptLabel: "1"}},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: *testkit.After(time.Second),
			}}},
		}},
		Manifests: []contract.Manifest{{Tasks: []contract.TaskRecord{
			{NodeID: 0, State: contract.TaskCompleted, StartTime: at(3), EndTime: at(5)},
			{NodeID: 1, State: contract.TaskCompleted, StartTime: at(5), EndTime: at(9)},
		}}},
	}
}

func inputs() []Input {
	all := []Input{completed()}
	for _, tg := range testkit.Samples() {
		if tg.Name != "commands" {
			all = append(all, Input{Group: tg})
		}
	}
	return all
}

func TestPictures(t *testing.T) {
	chart := Build(inputs(), testkit.Now)
	one := Build([]Input{completed()}, testkit.Now)
	var text, oneText, svg, page bytes.Buffer
	chart.Text(&text, 100, terminal.Palette{})
	one.Text(&oneText, 80, terminal.Palette{})
	one.SVG(&svg)
	chart.HTML(&page)
	for name, got := range map[string]*bytes.Buffer{"all.txt": &text, "one.txt": &oneText, "one.svg": &svg, "all.html": &page} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got), -update writes it anew:\n%s", name, diff)
		}
	}
}

// retried is a Parallel group in its third attempt: task 0 completed in the first,
// task 1 in the second, and task 2 failed in both and is to be placed again.
func retried() Input {
	tg := testkit.Sample("retried", 3)
	tg.Spec.Execution = v1alpha1.Parallel
	tg.Status.StartTime, tg.Status.Attempt, tg.Status.Summary = testkit.After(2*time.Second), 3, "2/3"
	testkit.At(tg, v1alpha1.ReasonRunning, "")
	for i, state := range []v1alpha1.TaskState{v1alpha1.TaskCompleted, v1alpha1.TaskCompleted, v1alpha1.TaskPending} {
		tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: v1alpha1.NodeID(i), State: state})
	}
	// pod is one that was placed, ran and ended so many seconds after the creation; a
	// zero is what has not come yet.
	pod := func(attempt, index, nodes string, placed, began, ended int) corev1.Pod {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{v1alpha1.AttemptLabel: attempt},
			Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: index, v1alpha1.NodesAnnotation: nodes},
		}}
		at := func(seconds int) metav1.Time { return *testkit.After(time.Duration(seconds) * time.Second) }
		if placed > 0 {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(placed)}}
		}
		if ended > 0 {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(began), FinishedAt: at(ended)}}}}
		}
		return pod
	}
	began, ended := testkit.After(22*time.Second).Time, testkit.After(30*time.Second).Time
	return Input{
		Group: tg,
		// In no order, as the API server lists them.
		Pods: []corev1.Pod{
			pod("2", "1", "1,2", 20, 24, 36), pod("1", "2", "", 1, 2, 14), pod("3", "0", "2", 0, 0, 0), pod("1", "0", "", 1, 4, 12),
			pod("2", "0", "1,2", 18, 22, 30), pod("1", "1", "", 1, 2, 10), pod("2", "7", "1,2", 5, 6, 7),
		},
		Manifests: []contract.Manifest{{Tasks: []contract.TaskRecord{{NodeID: 1, State: contract.TaskCompleted, StartTime: &began, EndTime: &ended}}}},
	}
}

// TestEachTaskOfAParallelGroupHasItsOwnPods, in all attempts.
func TestEachTaskOfAParallelGroupHasItsOwnPods(t *testing.T) {
	chart := Build([]Input{retried()}, testkit.Now)
	span := func(kind Kind, from, to int) Span {
		return Span{kind, testkit.After(time.Duration(from) * time.Second).Time, testkit.After(time.Duration(to) * time.Second).Time}
	}
	want := [][]Span{
		{span(Queued, 0, 1), span(Starting, 1, 4), span(Completed, 4, 12)},
		{span(Queued, 0, 1), span(Starting, 1, 2), span(Failed, 2, 10), span(Queued, 10, 18), span(Starting, 18, 22), span(Completed, 22, 30)},
		{
			span(Queued, 0, 1), span(Starting, 1, 2), span(Failed, 2, 14), span(Queued, 14, 20), span(Starting, 20, 24), span(Failed, 24, 36),
			span(Queued, 36, 60),
		},
	}
	var got [][]Span
	for _, row := range chart.Rows[1:] {
		got = append(got, row.Spans)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	wellFormed(t, &chart)
}

func TestAPageNeedsNothingElse(t *testing.T) {
	chart := Build(inputs(), testkit.Now)
	var page bytes.Buffer
	chart.HTML(&page)
	for _, foreign := range []string{"<script", "src=", "href=", "url(", "@import"} {
		if strings.Contains(page.String(), foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
}

func TestNamesCannotBreakThePicture(t *testing.T) {
	in := completed()
	in.Group.Name = "</title><script>alert(1)</script>\x00\xff&\uffff"
	chart := Build([]Input{in}, testkit.Now)
	wellFormed(t, &chart)
}

// wellFormed reads the picture as a browser does.
func wellFormed(t *testing.T, chart *Chart) {
	t.Helper()
	var svg bytes.Buffer
	chart.SVG(&svg)
	if strings.Contains(svg.String(), "<script") || strings.Contains(svg.String(), "NaN") || strings.Contains(svg.String(), "Inf") {
		t.Errorf("a script, or a number that is none:\n%s", svg.String())
	}
	decoder := encodingxml.NewDecoder(&svg)
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzOddTimes takes every time from the fuzzer: before the epoch, after the end
// of all, backwards.
func FuzzOddTimes(f *testing.F) {
	f.Add(int64(0), int64(1), int64(2), int64(3), int64(4), int64(5), "g")
	f.Add(int64(-1<<62), int64(1<<62), int64(0), int64(1<<40), int64(-5), int64(9), "日本\n")
	f.Fuzz(func(t *testing.T, created, began, ended, placed, start, now int64, name string) {
		at := func(n int64) time.Time { return testkit.Created.Add(time.Duration(n)).AddDate(int(n%3000), 0, 0) }
		in := completed()
		in.Group.Name = name
		in.Group.CreationTimestamp = metav1.Time{Time: at(created)}
		in.Group.Status.StartTime, in.Group.Status.CompletionTime = &metav1.Time{Time: at(began)}, &metav1.Time{Time: at(ended)}
		in.Group.Status.Jobs = append(in.Group.Status.Jobs, in.Group.Status.Jobs...)
		in.Pods[0].Status.Conditions[0].LastTransitionTime = metav1.Time{Time: at(placed)}
		in.Manifests[0].Tasks[0].StartTime, in.Manifests[0].Tasks[1].EndTime = new(at(start)), nil
		chart := Build([]Input{in}, at(now))
		for _, row := range chart.Rows {
			for _, span := range row.Spans {
				if !span.To.After(span.From) || span.From.Before(chart.From) || span.To.After(chart.To) {
					t.Errorf("span %+v of a chart from %s to %s", span, chart.From, chart.To)
				}
			}
		}
		var text bytes.Buffer
		chart.Text(&text, 100, terminal.Palette{})
		for line := range strings.Lines(text.String()) {
			if width := table.Width(strings.TrimSuffix(line, "\n")); width > 100 {
				t.Errorf("a line of %d: %q", width, line)
			}
		}
		wellFormed(t, &chart)
	})
}

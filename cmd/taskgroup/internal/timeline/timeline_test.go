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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/cmd/taskgroup/internal/sample"
	"github.com/taskgroup-operator/taskgroup-operator/cmd/taskgroup/internal/table"
	"github.com/taskgroup-operator/taskgroup-operator/cmd/taskgroup/internal/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

var update = flag.Bool("update", false, "write the golden files anew")

// completed has all that can be known: a pod that was placed after a second, and
// the record of two tasks.
func completed() Input {
	tg := sample.Completed("commands")
	at := func(seconds int) *time.Time { return &sample.After(time.Duration(seconds) * time.Second).Time }
	return Input{
		Group: tg,
		Pods: []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.AttemptLabel: "1"}},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: *sample.After(time.Second),
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
	for _, tg := range sample.All() {
		if tg.Name != "commands" {
			all = append(all, Input{Group: tg})
		}
	}
	return all
}

func TestPictures(t *testing.T) {
	chart := Build(inputs(), sample.Now)
	one := Build([]Input{completed()}, sample.Now)
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

func TestAPageNeedsNothingElse(t *testing.T) {
	chart := Build(inputs(), sample.Now)
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
	chart := Build([]Input{in}, sample.Now)
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
		at := func(n int64) time.Time { return sample.Created.Add(time.Duration(n)).AddDate(int(n%3000), 0, 0) }
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

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestListPrintsEveryFormat(t *testing.T) {
	for name, args := range map[string][]string{
		"list.txt":      {"list"},
		"list-wide.txt": {"list", "-o", "wide"},
		"list-all.txt":  {"list", "-A"},
		"list-name.txt": {"list", "-o", "name"},
		"list.json":     {"list", "-o", "json", "--state", "completed"},
		"list.yaml":     {"list", "-o", "yaml", "--state", "queued,RUNNING"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, samples()...)
			b.want(exitDone, args...)
			golden(t, name, b.out.String())
		})
	}
}

// TestListOfNothing is a list for programs, and a sentence for people that is in
// not a pipe.
func TestListOfNothing(t *testing.T) {
	b := newBench(t)
	b.want(exitDone, "list")
	if b.out.Len() > 0 || !strings.Contains(b.err.String(), "no TaskGroups in the namespace team-a") {
		t.Errorf("said %q and %q", b.out.String(), b.err.String())
	}
	b.want(exitDone, "list", "-o", "json")
	var list v1alpha1.TaskGroupList
	if err := yaml.Unmarshal(b.out.Bytes(), &list); err != nil || list.Kind != "TaskGroupList" || !strings.Contains(b.out.String(), `"items": []`) {
		t.Errorf("an empty list is %s (%v)", b.out.String(), err)
	}
}

func TestListSelects(t *testing.T) {
	labelled := testkit.RunningSample("labelled")
	labelled.Labels = map[string]string{"team": "a"}
	b := newBench(t, append(samples(), labelled)...)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-l", "team=a"}, "labelled"},
		{[]string{"-l", "team", "--state", "failed"}, ""},
		{[]string{"--state", "active"}, "demo-run labelled needs-ssd new"},
		{[]string{"--state", "oomkilled", "--state", "cancelled"}, "cancelled too-much-memory"},
	} {
		b.want(exitDone, append([]string{"list", "-o", "name"}, tc.args...)...)
		got := strings.Join(strings.Fields(strings.ReplaceAll(b.out.String(), "taskgroup.kubernetes.covalent.xyz/", "")), " ")
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.args, diff)
		}
	}
}

func TestWrongFlagsOfList(t *testing.T) {
	b := newBench(t)
	for wrong, args := range map[string][]string{
		"--output is one of wide, json, yaml, name": {"list", "-o", "xml"},
		`"sleepy" is no state`:                      {"list", "--state", "sleepy"},
		"reading the selector":                      {"list", "-l", "a=b=c"},
		"unknown command":                           {"list", "something"},
		"unknown flag":                              {"list", "--colour"},
	} {
		b.want(exitUsage, args...)
		if !strings.Contains(b.err.String(), wrong) || !strings.Contains(b.err.String(), "--help") {
			t.Errorf("%v says %q, want %q and how to get help", args, b.err.String(), wrong)
		}
	}
}

func TestListExpressions(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.OOMKilledSample("b"), testkit.RunningSample("a"), testkit.Sample("c", 1))
	for want, args := range map[string][]string{
		"a b c":  {"-o", "jsonpath={.items[*].metadata.name}"},
		"a,b,c,": {"-o", "go-template={{range .items}}{{.metadata.name}},{{end}}"},
		"NAME   NODE\na      node-1\nb      node-1\nc      <none>\n":                                                      {"-o", "custom-columns=NAME:.metadata.name,NODE:{.status.nodeName}"},
		"c      <none>\na      1\nb      2\n":                                                                             {"-o", "custom-columns=NAME:.metadata.name,N:.status.attempt", "--no-headers", "--sort-by", "{.status.attempt}"},
		"b      OOMKilled   1/3    2         60s\n":                                                                       {"--field-selector", "metadata.name=b", "--no-headers"},
		"taskgroup.kubernetes.covalent.xyz/c\ntaskgroup.kubernetes.covalent.xyz/a\ntaskgroup.kubernetes.covalent.xyz/b\n": {"-o", "name", "--sort-by=status.attempt"},
	} {
		b.want(exitDone, append([]string{"list"}, args...)...)
		if got := b.out.String(); got != want {
			t.Errorf("%v printed %q, want %q", args, got, want)
		}
	}
	for wrong, args := range map[string][]string{
		"needs an expression":       {"-o", "jsonpath"},
		"reading --output jsonpath": {"-o", "jsonpath={"},
		"a column is NAME:.path":    {"-o", "custom-columns=NAME"},
		"--field-selector":          {"--field-selector", "a"},
		"--sort-by":                 {"--sort-by", "{.[}"},
	} {
		b.want(exitUsage, append([]string{"list"}, args...)...)
		if !strings.Contains(b.err.String(), wrong) {
			t.Errorf("%v reports %q, want %q", args, b.err.String(), wrong)
		}
	}
}

// TestListWatches prints a group again only when it changes.
func TestListWatches(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	b := newBenchWith(t, onWatch(func(c client.WithWatch) { become(t, c, testkit.CompletedSample("long-name")) }), testkit.RunningSample("long-name"), testkit.Sample("x", 1))
	out := &untilText{text: "Completed", found: stop}
	if code := Run(ctx, b.config(out), []string{"list", "-w"}); code != exitInterrupted {
		t.Errorf("ended with %d: %s", code, b.err.String())
	}
	want := "NAME        STATUS    DONE   ATTEMPT   AGE\nlong-name   Running   0/2    1         60s\nx           Pending                    60s\nlong-name   Completed   2/2    1         60s\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// untilText calls found when the text was written.
type untilText struct {
	strings.Builder
	text  string
	found func()
}

func (u *untilText) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.found()
	}
	return n, err
}

// WriteString shadows that of the builder, which io.WriteString would call.
func (u *untilText) WriteString(s string) (int, error) { return u.Write([]byte(s)) }

package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
// nobody's pipe.
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

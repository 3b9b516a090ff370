// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// member is the pod of one index of a parallel group.
func (p *pod) member(index int) *pod {
	p.t.Helper()
	one := p.fresh("pod-" + strconv.Itoa(index))
	one.plan.Parallel = true
	one.env[contract.IndexEnv] = strconv.Itoa(index)
	return one
}

func TestPodsOfAParallelGroupRunOneTaskEach(t *testing.T) {
	const last = 2
	whole := newPythonPod(t,
		shell(5, `echo "$JOB_COMPLETION_INDEX"; printf first > "$TASKGROUP_OUTPUT"`), shell(6, "exit 3"), function(7, "add", 0, 1),
	).input(0, "three").input(1, "four")
	var waits [last + 1]func() *ended
	for index := range waits {
		waits[index] = whole.member(index).start()
	}
	var ended [last + 1]*ended
	for index, wait := range waits {
		ended[index] = wait()
	}
	first, middle, function := ended[0].expect(0, "C"), ended[1].expect(1, "F"), ended[last].expect(0, "C")
	if first.text(5, contract.AssetOutput) != "first" || first.text(5, contract.AssetStdout) != "0\n" {
		t.Errorf("output %q, stdout %q", first.text(5, contract.AssetOutput), first.text(5, contract.AssetStdout))
	}
	if failure := middle.message.Failure; *failure.NodeID != 6 || failure.Reason != contract.ReasonExitCode || failure.Message != "exit code 3" {
		t.Errorf("failure %+v", failure)
	}
	if function.result(7) != "7" || function.stdout != "add 3 4 0\n" || first.manifest.Python != nil || function.manifest.Python == nil {
		t.Errorf("result %s, log %q", function.result(7), function.stdout)
	}
	for index, e := range ended {
		if node := e.message.Node; node == nil || *node != whole.plan.Tasks[index].NodeID {
			t.Errorf("the termination message of pod %d names node %v", index, node)
		}
		if len(e.manifest.Tasks) != 1 || e.manifest.Tasks[0].NodeID != whole.plan.Tasks[index].NodeID {
			t.Errorf("the manifest of pod %d tells of %+v", index, e.manifest.Tasks)
		}
		if starts := strings.Count(e.stderr, ": started\n"); starts != 1 {
			t.Errorf("pod %d started %d tasks:\n%s", index, starts, e.stderr)
		}
	}
	if _, err := os.Stat(strings.TrimPrefix(contract.ManifestURI(whole.plan.Outputs), "file://")); !os.IsNotExist(err) {
		t.Errorf("a pod committed the whole group's manifest: %v", err)
	}
}

func TestParallelTasksTakeNothingFromEachOther(t *testing.T) {
	task := shell(1, "true")
	task.Args = []contract.NodeID{2}
	e := newPod(t, shell(2, "true"), task).member(1).run().expect(1, "F")
	expectFailure(t, e, contract.ReasonInputUnavailable,
		"the output of node 2: it is of this group, whose tasks run in parallel and cannot wait for each other")
}

func TestParallelDeadlineIsOfThePod(t *testing.T) {
	t.Parallel()
	one := newPod(t, shell(2, "true"), shell(1, "echo ready; exec sleep 60")).member(1)
	one.plan.RunningSeconds = 1
	expectFailure(t, one.run().expect(1, "F"), contract.ReasonDeadlineExceeded,
		"the group ran longer than spec.timeouts.runningSeconds of 1 s: killed by signal 15 (SIGTERM)")
}

func TestParallelPodsThatCannotRun(t *testing.T) {
	tests := map[string]struct {
		change func(*pod)
		want   string
		// node is the node in the termination message; nil if the pod does not know it.
		node *contract.NodeID
	}{
		"no index":          {func(p *pod) { delete(p.env, contract.IndexEnv) }, "JOB_COMPLETION_INDEX is not set: the pods of a Parallel group belong to an indexed Job", nil},
		"empty index":       {func(p *pod) { p.env[contract.IndexEnv] = "" }, "JOB_COMPLETION_INDEX is not set: the pods of a Parallel group belong to an indexed Job", nil},
		"no number":         {func(p *pod) { p.env[contract.IndexEnv] = "one" }, `JOB_COMPLETION_INDEX is "one": want a number`, nil},
		"a fraction":        {func(p *pod) { p.env[contract.IndexEnv] = "0.5" }, `JOB_COMPLETION_INDEX is "0.5": want a number`, nil},
		"below 0":           {func(p *pod) { p.env[contract.IndexEnv] = "-1" }, "invalid plan: this is pod -1 of a group of 2 tasks", nil},
		"beyond the last":   {func(p *pod) { p.env[contract.IndexEnv] = "2" }, "invalid plan: this is pod 2 of a group of 2 tasks", nil},
		"beyond any":        {func(p *pod) { p.env[contract.IndexEnv] = "99999999999999999999" }, `JOB_COMPLETION_INDEX is "99999999999999999999": want a number`, nil},
		"a manifest":        {func(p *pod) { p.plan.Previous = &contract.ManifestReference{URI: "file:///m"} }, "invalid plan: a parallel group resumes no earlier attempt", new(contract.NodeID(2))},
		"bad outputs":       {func(p *pod) { p.plan.Outputs = "s3://b/o?key=1" }, "s3://b/o?REDACTED: outputs with a user, a password or a query: their URIs are recorded, give credentials in spec.pod", new(contract.NodeID(2))},
		"another's command": {func(p *pod) { p.plan.Tasks[0].Command = nil }, "invalid plan: task 1 needs either a command or a function", new(contract.NodeID(2))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, command(1, "true"), command(2, "true")).member(1)
			test.change(p)
			out, err := p.command().CombinedOutput()
			if err == nil || err.Error() != "exit status 2" || string(out) != "runner: "+test.want+"\n" {
				t.Errorf("%v: got  %swant runner: %s", err, out, test.want)
			}
			raw, _ := os.ReadFile(p.env["TASKGROUP_TERMINATION_LOG"])
			message, err := contract.DecodeTerminationMessage(string(raw), 1)
			if err != nil || message.States[0] != contract.TaskCancelled || fmt.Sprint(*message.Failure) != fmt.Sprint(contract.Failure{Reason: contract.ReasonPlanInvalid, Message: test.want}) {
				t.Errorf("termination message %s: %v", raw, err)
			} else if diff := cmp.Diff(test.node, message.Node); diff != "" {
				t.Errorf("node (-want +got):\n%s", diff)
			}
		})
	}
}

// TestIndexWithoutAParallelPlan is a pod of an indexed Job whose plan runs all
// tasks in one pod.
func TestIndexWithoutAParallelPlan(t *testing.T) {
	p := newPod(t, command(1, "true"), command(2, "true"))
	p.env[contract.IndexEnv] = "nonsense"
	if e := p.run().expect(0, "CC"); e.message.Node != nil {
		t.Errorf("the pod of a Sequential group names node %d", *e.message.Node)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// indexed gives the pod's plan an index.
func (p *pod) indexed(index *contract.Index) *pod {
	p.t.Helper()
	raw, err := contract.EncodeIndex(index)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.indexedBy(raw)
}

func (p *pod) indexedBy(raw []byte) *pod {
	p.t.Helper()
	path := filepath.Join(p.dir, digest(raw)+".json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.plan.Version = contract.IndexedPlanVersion
	p.plan.Index = &contract.ObjectReference{URI: "file://" + path, Size: int64(len(raw)), SHA256: digest(raw)}
	return p
}

// manyArguments is the index of a function with n args and a keyword argument, all of
// which are outputs of nodes outside the group.
func manyArguments(node contract.NodeID, n int) *contract.Index {
	task := contract.IndexTask{NodeID: node, Kwargs: map[string]contract.NodeID{"factor": 0}}
	index := &contract.Index{Inputs: map[contract.NodeID]string{}}
	for i := range contract.NodeID(n) {
		task.Args = append(task.Args, 1_000+i)
		index.Inputs[1_000+i] = asset("three")
	}
	index.Inputs[0] = asset("four")
	index.Tasks = []contract.IndexTask{task}
	return index
}

// TestArgumentsOfAnIndex: the order of the args is kept, other tasks of the group have
// theirs in the plan, and an attempt that resumes reads the index too.
func TestArgumentsOfAnIndex(t *testing.T) {
	const n = 10_000
	p := newPythonPod(t, function(1, "weighted"), function(2, "add", 1), shell(3, `test -e "$DIR/third"`)).
		indexed(manyArguments(1, n)).attempt(1)
	p.env["DIR"] = p.dir
	first := p.run().expect(1, "CCF")
	const want = "599940000" // 3 * 4 * sum(range(n))
	if first.result(1) != want || first.result(2) != want {
		t.Errorf("results %s and %s, want %s", first.result(1), first.result(2), want)
	}
	touch(t, p.dir+"/third")
	if second := p.next(first).run().expect(0, "CCC"); second.result(1) != want {
		t.Errorf("after a resumption: %s, want %s", second.result(1), want)
	}
}

func TestIndexOfAParallelGroup(t *testing.T) {
	index := manyArguments(1, 300)
	other := manyArguments(2, 400)
	maps.Copy(index.Inputs, other.Inputs)
	index.Tasks = append(index.Tasks, other.Tasks...)
	for i, want := range []string{"538200", "957600"} {
		p := newPythonPod(t, function(1, "weighted"), function(2, "weighted")).indexed(index)
		p.plan.Parallel = true
		p.env[contract.IndexEnv] = []string{"0", "1"}[i]
		if got := p.run().expect(0, "C").result(contract.NodeID(i + 1)); got != want {
			t.Errorf("task %d returned %s, want %s", i, got, want)
		}
	}
}

func TestIndexesThatCannotBeUsed(t *testing.T) {
	twice := manyArguments(1, 3)
	twice.Tasks = append(twice.Tasks, twice.Tasks[0])
	for name, tc := range map[string]struct {
		change  func(*pod)
		reason  contract.Reason
		message string
	}{
		"another content": {func(p *pod) { p.plan.Index.SHA256 = strings.Repeat("0", 64) }, contract.ReasonInputInvalid, "the index of the arguments cannot be used: "},
		"not there":       {func(p *pod) { p.plan.Index.URI += ".lost" }, contract.ReasonInputUnavailable, "the index of the arguments cannot be read: "},
		"no JSON":         {func(p *pod) { p.indexedBy([]byte("{")) }, contract.ReasonInputInvalid, "decoding the index: unexpected EOF"},
		"a later release": {func(p *pod) { p.indexedBy([]byte(`{"version":2}`)) }, contract.ReasonInputInvalid, "version 2, this release supports 1"},
		"a node twice":    {func(p *pod) { p.indexed(twice) }, contract.ReasonInputInvalid, "the index has node 1 twice"},
		"args twice":      {func(p *pod) { p.plan.Tasks[0].Args = []contract.NodeID{0} }, contract.ReasonInputInvalid, "node 1 has args or kwargs both in spec.tasks and in the index"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, shell(1, "echo never"), shell(2, "echo never")).indexed(manyArguments(1, 3))
			tc.change(p)
			e := p.run().expect(1, "FX")
			record := e.task(1)
			if record.Reason != tc.reason || !strings.Contains(record.Message, tc.message) {
				t.Errorf("%s: %s; want %s: ...%s...", record.Reason, record.Message, tc.reason, tc.message)
			}
			if strings.Contains(e.stdout, "never") {
				t.Error("a task ran without its arguments")
			}
		})
	}
}

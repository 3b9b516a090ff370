// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// covalentEnv names a Python that has the real Covalent.
const covalentEnv = "TASKGROUP_TEST_COVALENT_PYTHON"

// newCovalentPod returns a pod whose image has Covalent, and the folder with what
// testdata/covalent_assets.py wrote, or skips.
func newCovalentPod(t *testing.T) (*pod, func(name string) string) {
	t.Helper()
	python := os.Getenv(covalentEnv)
	if python == "" {
		t.Skip(covalentEnv + " names no Python with Covalent")
	}
	dir := t.TempDir()
	write := exec.Command(python, "testdata/covalent_assets.py", dir)
	write.Env = append(os.Environ(), "HOME="+dir, "COVALENT_CONFIG_DIR="+dir)
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("writing the assets: %v\n%s", err, out)
	}
	p := newPod(t)
	p.env["TASKGROUP_PYTHON"] = python
	return p, func(name string) string { return "file://" + dir + "/" + name }
}

// TestCovalentContext: ct.get_context() returns the context of the task, both if the
// pickle imports Covalent and if the function does (as covalent/executor/utils/wrappers.py
// sets it).
func TestCovalentContext(t *testing.T) {
	p, asset := newCovalentPod(t)
	p.plan.Tasks = []contract.PlanTask{{NodeID: 3, Function: asset("covalent-imports")}, {NodeID: 4, Function: asset("covalent-brings")}}
	e := p.run().expect(0, "CC")
	for node, want := range map[contract.NodeID]string{3: "('6f1c', 3)", 4: "('6f1c', 4)"} {
		if got := e.result(node); got != want {
			t.Errorf("task %d's context is %s, want %s", node, got, want)
		}
	}
}

// TestCovalentContextInHooks compares with Covalent's own wrapper: the context is set in
// call_before, while arguments are unpickled, in the function and in call_after.
func TestCovalentContextInHooks(t *testing.T) {
	p, asset := newCovalentPod(t)
	p.plan.Tasks = []contract.PlanTask{{
		NodeID: 5, Function: asset("contexts-function"), Hooks: asset("contexts-hooks"), Args: []contract.NodeID{0},
	}}
	p.plan.Inputs = map[contract.NodeID]string{0: asset("contexts-argument")}
	e := p.run().expect(0, "C")
	for name, got := range map[string]string{"contexts-printed": e.text(5, contract.AssetStdout), "contexts-returned": e.result(5)} {
		if want := string(read(t, asset(name))); got != want || !strings.Contains(got, "6f1c") {
			t.Errorf("%s: %q, with Covalent's wrapper %q", name, got, want)
		}
	}
}

// TestSublatticeIsReturned: without the dispatcher's address a sublattice is packed
// and returned, and Covalent reads the archive from the object's string
// (covalent/_workflow/electron.py, _build_sublattice_graph).
func TestSublatticeIsReturned(t *testing.T) {
	p, asset := newCovalentPod(t)
	p.plan.Tasks = []contract.PlanTask{{NodeID: 7, Function: asset("covalent-sublattice"), Args: []contract.NodeID{0, 1, 2}}}
	p.plan.Inputs = map[contract.NodeID]string{0: asset("covalent-lattice"), 1: asset("covalent-parent"), 2: asset("covalent-three")}
	e := p.run().expect(0, "C")
	tarball, err := base64.StdEncoding.DecodeString(e.result(7))
	if err != nil || !strings.Contains(string(tarball), "manifest.json") {
		t.Errorf("the object's string is no archive: %v, %.80q", err, e.result(7))
	}
}

// SPDX-License-Identifier: Apache-2.0

package python_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
)

// pythonEnv names a Python with cloudpickle for these tests.
const pythonEnv = "TASKGROUP_TEST_PYTHON"

// TestPythonImportsModulesBeforeTheTasks: a module that cannot be imported is a line in
// the log. That tasks share the others is in python/tests/test_task.py.
func TestPythonImportsModulesBeforeTheTasks(t *testing.T) {
	t.Parallel()
	interpreter := os.Getenv(pythonEnv)
	if interpreter == "" {
		t.Skip(pythonEnv + " names no Python with cloudpickle")
	}
	dir := t.TempDir()
	module := "with open(" + `"` + dir + `/imported", "w"): pass`
	if err := os.WriteFile(filepath.Join(dir, "slow_module.py"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	reaper, err := process.NewReaper()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	session, err := python.Start(context.Background(), python.Config{
		Reaper: reaper, Interpreter: interpreter, Dir: t.TempDir(), Env: append(os.Environ(), "PYTHONPATH="+dir), Log: &log,
		Preload: []string{"slow_module", "no_such_module"},
	})
	if err != nil {
		t.Fatal(err)
	}
	session.Close()
	if _, err := os.Stat(filepath.Join(dir, "imported")); err != nil {
		t.Error(err)
	}
	if want := "[taskgroup] preloading no_such_module: ModuleNotFoundError: "; !strings.HasPrefix(log.String(), want) {
		t.Errorf("log %q, want %q", log.String(), want)
	}
}

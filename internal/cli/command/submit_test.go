// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const script = `import math

def area(radius, *, times=1, tags=()):
    return [math.floor(math.pi * radius ** 2) * times, list(tags)]

def fails():
    raise ValueError("boom")
`

func scriptFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.py")
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSubmitPrintsWhatItWouldCreate(t *testing.T) {
	for name, args := range map[string][]string{
		"submit-command.yaml": {"--image", "python:3.12", "--", "python3", "-c", "print('hello, world')"},
		"submit-tasks.yaml": {
			"--name", "build", "--task", "make", "--task", "make check", "--parallelism", "2", "--memory", "2Gi", "--cpu", "500m",
			"--env", "A=x,y", "--env", "B=", "--label", "team=a", "--queue", "q", "--retries", "2", "--time-limit", "60", "--ttl", "3600",
			"--volume", "data:/data:ro", "--outputs", "file:///data/out", "--service-account", "me", "--suspend", "-n", "team-b",
		},
		"submit-python.yaml": {"--python", scriptFile(t) + ":area", "--arg", "2", "--kwarg", "times=3", "--kwarg", `tags=["a","b"]`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.want(exitDone, append([]string{"submit", "--dry-run"}, args...)...)
			golden(t, name, b.out.String())
		})
	}
}

// runSubmitted runs the command of a group of a Python function as a pod does.
func runSubmitted(t *testing.T, args ...string) (string, error) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("this machine has no python3")
	}
	b := newBench(t)
	b.want(exitDone, append([]string{"submit", "--dry-run", "--python"}, args...)...)
	var tg v1alpha1.TaskGroup
	if err := yaml.UnmarshalStrict(b.out.Bytes(), &tg); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, tg.Spec.Tasks[0].Command[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TASKGROUP_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func pythonFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSubmittedFunctionsRun(t *testing.T) {
	t.Parallel()
	if out, err := runSubmitted(t, scriptFile(t)+":area", "--arg", "2", "--kwarg", `tags=["ä"]`); err != nil || out != "[12, ['ä']]\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	out, err := runSubmitted(t, scriptFile(t)+":fails")
	if err == nil || !strings.Contains(out, `model.py", line 7, in fails`) || !strings.Contains(out, `raise ValueError("boom")`) {
		t.Errorf("a traceback without the file's lines: %s", out)
	}
}

// TestSubmittedFilesAreModules runs files as python3 itself runs them.
func TestSubmittedFilesAreModules(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, source, function, want string }{
		"argparse reads no arguments": {"train.py", `import argparse
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    print("epochs", parser.parse_args().epochs, parser.prog)
`, "main", "epochs 3 train.py\n"},
		"a dataclass with postponed annotations": {"points.py", `from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Point:
    x: int
    y: int = 2
def make() -> Point:
    return Point(1)
`, "make", "Point(x=1, y=2)\n"},
		"the source of a function": {"source.py", `import inspect
def double(x):
    return 2 * x
def show():
    return inspect.getsource(double).strip().splitlines()[-1].strip()
`, "show", "return 2 * x\n"},
		"pickle finds the module": {"kept.py", `import pickle
class Kept:
    value = 7
def main():
    return pickle.loads(pickle.dumps(Kept())).value
`, "main", "7\n"},
		"a spawned process imports the module": {"pool.py", `import multiprocessing
def square(x):
    return x * x
def main():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(square, [3])
`, "main", "[9]\n"},
		"a name of an import of several lines": {"lines.py", `from os.path import (
    basename,
    dirname as folder,
)
`, "folder", "/a\n"},
		"a byte order mark":                   {"bom.py", "\ufeffdef f():\n    return 1\n", "f", "1\n"},
		"a name of the standard library":      {"json.py", "import json\ndef f():\n    return json.dumps([1])\n", "f", "[1]\n"},
		"a name that is not an identifier":    {"my-model.v2.py", "def f():\n    return __name__\n", "f", "my-model_v2\n"},
		"the block of a program is not run":   {"program.py", "def f():\n    return 1\nif __name__ == '__main__':\n    print('program')\n", "f", "1\n"},
		"asyncio.run in an ordinary function": {"fetch.py", "import asyncio\nasync def fetch():\n    return 3\ndef main():\n    return asyncio.run(fetch())\n", "main", "3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{pythonFile(t, tc.file, tc.source) + ":" + tc.function}
			if tc.function == "folder" {
				args = append(args, "--arg", "/a/b")
			}
			if out, err := runSubmitted(t, args...); err != nil || out != tc.want {
				t.Errorf("printed %q, %v, want %q", out, err, tc.want)
			}
		})
	}
}

// TestAsynchronousFunctionsAreRefused: a coroutine that is not awaited has not run, and
// its group must not be Completed.
func TestAsynchronousFunctionsAreRefused(t *testing.T) {
	t.Parallel()
	const source = `import functools
async def fetch(n=1):
    print("fetched")
def wrapped(*args):
    return fetch(*args)
partial = functools.partial(fetch, 2)
async def pages():
    yield 1
also = pages
`
	path := pythonFile(t, "fetch.py", source)
	b := newBench(t)
	b.want(exitUsage, "submit", "--python", path+":fetch")
	if !strings.Contains(b.err.String(), "asyncio.run") {
		t.Errorf("refused as %s", b.err.String())
	}
	for _, function := range []string{"wrapped", "partial", "also"} {
		out, err := runSubmitted(t, path+":"+function)
		if err == nil || !strings.Contains(out, "asyncio.run") || strings.Contains(out, "fetched") || strings.Contains(out, "Warning") {
			t.Errorf("%s printed %q, %v", function, out, err)
		}
	}
	if out, err := runSubmitted(t, pythonFile(t, "f.py", "from os import name as f\n")+":f"); err == nil || !strings.Contains(out, "f.py defines no function 'f'") {
		t.Errorf("a name that is no function: %q, %v", out, err)
	}
}

func TestSubmitCreates(t *testing.T) {
	b := newBench(t)
	b.want(exitDone, "submit", "--name", "g", "--", "true")
	if got := b.out.String(); got != "taskgroup.kubernetes.covalent.xyz/g created\n" {
		t.Errorf("said %q", got)
	}
	if tg := b.get("g"); len(tg.Spec.Tasks) != 1 || tg.Spec.Tasks[0].Command[0] != "true" || tg.Spec.Pod != nil {
		t.Errorf("created %+v", tg.Spec)
	}
	b.want(exitTimeout, "submit", "--name", "waits", "--wait", "--timeout", "1ms", "--", "true")
	b.want(exitFailed, "submit", "--name", "g", "--", "true")
	if !strings.Contains(b.err.String(), "already exists") || !strings.Contains(b.err.String(), "next: ") {
		t.Errorf("a name that is taken: %s", b.err.String())
	}
}

func TestWrongUsageOfSubmit(t *testing.T) {
	path := scriptFile(t)
	large := filepath.Join(t.TempDir(), "large.py")
	if err := os.WriteFile(large, []byte("def f(): pass\n#"+strings.Repeat("x", 40000)), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"say what to run in one way":    {},
		"in one way: a command":         {"--task", "a", "--", "b"},
		"--arg and --kwarg are for":     {"--arg", "1", "--", "b"},
		"is file.py:function":           {"--python", path},
		"no such file":                  {"--python", "nowhere.py:f"},
		`defines no function "volume"`:  {"--python", path + ":volume"},
		"at most 32768 fit":             {"--python", large + ":f"},
		"is not encoded as UTF-8":       {"--python", pythonFile(t, "latin.py", "# \xe4\ndef f(): pass\n") + ":f"},
		`--memory is an amount`:         {"--memory", "-1Gi", "--", "b"},
		`--volume is CLAIM:/path`:       {"--volume", "data", "--", "b"},
		`it is name=value, not "A"`:     {"--env", "A", "--", "b"},
		"--output is one of json, yaml": {"-o", "wide", "--", "b"},
	} {
		b := newBench(t)
		b.want(exitUsage, append([]string{"submit"}, args...)...)
		if !strings.Contains(b.err.String(), want) {
			t.Errorf("%v says %q, want %q", args, b.err.String(), want)
		}
	}
}

func TestSubmitOfAFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.want(exitDone, "submit", "--dry-run", "--name", "g", "--gpu", "2", "--node-selector", "disk=ssd", "--", "true")
	path := pythonFile(t, "group.yaml", b.out.String())
	b.want(exitDone, "submit", "--file", path)
	pod := b.get("g").Spec.Pod
	if pod.NodeSelector["disk"] != "ssd" || pod.Resources.Limits["nvidia.com/gpu"].Text != "2" || len(pod.Resources.Requests) > 0 {
		t.Errorf("created %+v", pod)
	}
	b.want(exitDone, "submit", "--file", path, "--name", "other")
	b.get("other")
	for want, args := range map[string][]string{
		"--gpu is 0 or more":    {"--gpu", "-1", "--", "true"},
		"leave out the command": {"--file", path, "--", "true"},
		"no such file":          {"--file", "nowhere.yaml"},
		"unknown field":         {"--file", pythonFile(t, "g.yaml", "apiVersion: kubernetes.covalent.xyz/v1alpha1\nkind: TaskGroup\nspecs: {}\n")},
		`it is a "Pod" of "v1"`: {"--file", pythonFile(t, "p.yaml", "apiVersion: v1\nkind: Pod\n")},
	} {
		b.want(exitUsage, append([]string{"submit"}, args...)...)
		if !strings.Contains(b.err.String(), want) {
			t.Errorf("%v reports %q, want %q", args, b.err.String(), want)
		}
	}
}

// TestSubmitFollows shows the log of the new group and returns its exit code.
func TestSubmitFollows(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if _, group := o.(*v1alpha1.TaskGroup); group && (&client.CreateOptions{}).ApplyOptions(opts).FieldValidation != metav1.FieldValidationStrict {
			t.Error("an older CRD would drop fields of the group")
		}
		o.SetUID("uid-of-g")
		pod := runningPod("g-1", "1")
		pod.Labels[v1alpha1.UIDLabel] = "uid-of-g"
		return errors.Join(c.Create(ctx, o, opts...), c.Create(ctx, pod))
	}})
	b.open = func(string, *corev1.PodLogOptions) (io.ReadCloser, error) {
		b.finish("g-1")
		return io.NopCloser(strings.NewReader(stamped("hello\n"))), nil
	}
	b.want(exitDone, "submit", "--name", "g", "--follow", "--", "true")
	if got := b.out.String(); !strings.HasSuffix(got, "created\nhello\n") || !strings.Contains(b.err.String(), "Completed") {
		t.Errorf("printed %q and %q", got, b.err.String())
	}
}

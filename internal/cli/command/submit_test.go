package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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

// TestSubmittedFunctionsRun runs the command that a group would have.
func TestSubmittedFunctionsRun(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("this machine has no python3")
	}
	run := func(args ...string) (string, error) {
		b := newBench(t)
		b.want(exitDone, append([]string{"submit", "--dry-run", "--python"}, args...)...)
		var tg v1alpha1.TaskGroup
		if err := yaml.UnmarshalStrict(b.out.Bytes(), &tg); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, tg.Spec.Tasks[0].Command[1:]...).CombinedOutput()
		return string(out), err
	}
	if out, err := run(scriptFile(t)+":area", "--arg", "2", "--kwarg", `tags=["ä"]`); err != nil || out != "[12, ['ä']]\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	out, err := run(scriptFile(t) + ":fails")
	if err == nil || !strings.Contains(out, `File "model.py", line 7, in fails`) || !strings.Contains(out, `raise ValueError("boom")`) {
		t.Errorf("a traceback without the file's lines: %s", out)
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

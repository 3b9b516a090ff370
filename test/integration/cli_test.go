// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// cliVersion is the version that is linked into the command line.
const cliVersion = "v1.2.3-test"

// buildCLI builds bin/taskgroup once for all tests.
var buildCLI = sync.OnceValues(func() (string, error) {
	path := filepath.Join(cluster.Dir, "taskgroup")
	cmd := exec.Command("go", "build", "-ldflags", "-X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version="+cliVersion, "-o", path, "./cmd/taskgroup")
	cmd.Dir = cluster.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command line: %w\n%s", err, out)
	}
	return path, nil
})

// cli runs the command line as a process, in a namespace.
func cli(t *testing.T, namespace string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := buildCLI()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--kubeconfig", cluster.Kubeconfig, "-n", namespace}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

// wantCLI runs a command that has to end with a code, and returns its output.
func wantCLI(t *testing.T, namespace string, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, got := cli(t, namespace, args...)
	if got != code {
		t.Fatalf("%v ended with %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

func TestCommandLineSubmitsAndWaits(t *testing.T) {
	ns := namespace(t)
	stdout, stderr := wantCLI(t, ns, 0, "submit", "--name", "g", "--wait", "--timeout", "2m", "--", "true")
	if stdout != "taskgroup.kubernetes.covalent.xyz/g created\n" || !strings.Contains(stderr, "g: Completed 1/1") {
		t.Errorf("said %q and %q", stdout, stderr)
	}
	create(t, commands(ns, "fails", 2), rig.Behaviour{Refused: "NodeAffinity"})
	_, stderr = wantCLI(t, ns, 1, "wait", "g", "fails", "--timeout", "2m")
	if !strings.Contains(stderr, "next: ") {
		t.Errorf("it does not say what to do: %s", stderr)
	}
	stdout, _ = wantCLI(t, ns, 0, "list", "-o", "name", "--state", "failed")
	if stdout != "taskgroup.kubernetes.covalent.xyz/fails\n" {
		t.Errorf("failed are %q", stdout)
	}
	stdout, _ = wantCLI(t, ns, 0, "describe", "fails")
	if !strings.Contains(stdout, "Events:") || !strings.Contains(stdout, "What to do next:") {
		t.Errorf("described as\n%s", stdout)
	}
	// The node only claims to have committed one, on a volume that is not here.
	stdout, stderr = wantCLI(t, ns, 0, "results", "g")
	if !strings.Contains(stdout, "COMPLETED") || !strings.Contains(stderr, "spec.assets.outputs") {
		t.Errorf("results are %s%s", stdout, stderr)
	}
}

func TestCommandLineTellsItsVersion(t *testing.T) {
	stdout, _ := wantCLI(t, "default", 0, "version")
	if !strings.HasPrefix(stdout, "taskgroup   "+cliVersion+" (go") || !strings.Contains(stdout, "Kubernetes  v1.") {
		t.Errorf("it says %q", stdout)
	}
}

// TestCommandLineIsTheSameAsKubectl for programs that read its table.
func TestCommandLineIsTheSameAsKubectl(t *testing.T) {
	ns := namespace(t)
	awaitReason(t, create(t, commands(ns, "a", 2), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	awaitReason(t, create(t, commands(ns, "b", 1), rig.Behaviour{Runs: true}), v1alpha1.ReasonRunning)
	for _, wide := range []bool{false, true} {
		kubectl, ours := []string{"-n", ns, "get", "tg"}, []string{"list"}
		if wide {
			kubectl, ours = append(kubectl, "-o", "wide"), append(ours, "-o", "wide")
		}
		want, err := cluster.Run(t.Context(), kubectl...)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := wantCLI(t, ns, 0, ours...)
		if withoutAge(got) != withoutAge(want) {
			t.Errorf("prints\n%swhere kubectl prints\n%s", got, want)
		}
	}
	raw, _ := wantCLI(t, ns, 0, "list", "-o", "json")
	var list v1alpha1.TaskGroupList
	if err := yaml.UnmarshalStrict([]byte(raw), &list); err != nil || len(list.Items) != 2 {
		t.Errorf("%d items, %v", len(list.Items), err)
	}
}

// withoutAge cuts the last column, which continues.
func withoutAge(table string) string {
	var lines []string
	for line := range strings.Lines(table) {
		fields := strings.TrimSpace(line)
		lines = append(lines, strings.TrimSpace(fields[:strings.LastIndexByte(fields, ' ')+1]))
	}
	return strings.Join(lines, "\n")
}

func TestCommandLineCancelsAndRetries(t *testing.T) {
	ns := namespace(t)
	key := create(t, commands(ns, "g", 1), rig.Behaviour{Runs: true})
	wantCLI(t, ns, 0, "wait", "g", "--for", "running", "--timeout", "2m")
	wantCLI(t, ns, 1, "retry", "g")
	_, stderr := wantCLI(t, ns, 3, "cancel", "g", "--wait", "--timeout", "2m")
	if !strings.Contains(stderr, "g: Cancelled") {
		t.Errorf("said %s", stderr)
	}
	wantQuiet(t, ns)
	if _, stderr = wantCLI(t, ns, 0, "cancel", "g"); !strings.Contains(stderr, "has finished already, as Cancelled") {
		t.Errorf("twice: %s", stderr)
	}
	behave(t, client.ObjectKey{Namespace: ns, Name: "g-r1"}, rig.Behaviour{})
	wantCLI(t, ns, 0, "retry", "g", "--wait", "--timeout", "2m")
	var again v1alpha1.TaskGroup
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "g-r1"}, &again); err != nil || again.Spec.Cancel {
		t.Errorf("%+v, %v", again.Spec, err)
	}
	awaitReason(t, key, v1alpha1.ReasonCancelled)
}

func TestCommandLineSuspendsAndResumes(t *testing.T) {
	ns := namespace(t)
	create(t, commands(ns, "g", 1), rig.Behaviour{Runs: true})
	wantCLI(t, ns, 0, "wait", "g", "--for", "running", "--timeout", "2m")
	wantCLI(t, ns, 0, "suspend", "g")
	wantCLI(t, ns, 0, "wait", "g", "--for", "suspended", "--timeout", "2m")
	behave(t, client.ObjectKey{Namespace: ns, Name: "g"}, rig.Behaviour{})
	wantCLI(t, ns, 0, "resume", "g")
	wantCLI(t, ns, 0, "wait", "g", "--timeout", "2m")
}

func TestCommandLineErrorsSayWhatToDo(t *testing.T) {
	ns := namespace(t)
	create(t, commands(ns, "nightly", 1), rig.Behaviour{})
	for name, tc := range map[string]struct {
		code int
		args []string
		want []string
	}{
		"a near name":         {1, []string{"describe", "nightli"}, []string{`did you mean "nightly"?`}},
		"another namespace":   {1, []string{"describe", "nightly", "-n", "default"}, []string{"there is one in the namespace " + ns}},
		"not allowed":         {1, []string{"list", "--as", "nobody"}, []string{"nobody", "next: ask for a RoleBinding"}},
		"refused":             {1, []string{"submit", "--outputs", "file:///a/../b", "--", "true"}, []string{"spec.assets.outputs", "kubectl explain"}},
		"no cluster there":    {1, []string{"list", "--server", "https://127.0.0.1:1"}, []string{"does not answer", "connection refused"}},
		"no such context":     {1, []string{"list", "--context", "nowhere"}, []string{"nowhere", "next: "}},
		"nothing to wait for": {5, []string{"wait", "nobody"}, []string{`there is no TaskGroup "nobody"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr := wantCLI(t, ns, tc.code, tc.args...)
			for _, want := range tc.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not in\n%s", want, stderr)
				}
			}
		})
	}
}

func TestCommandLineCompletesNames(t *testing.T) {
	ns := namespace(t)
	awaitReason(t, create(t, commands(ns, "done", 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	runs := create(t, commands(ns, "runs", 1), rig.Behaviour{Runs: true})
	awaitReason(t, runs, v1alpha1.ReasonRunning)
	if stdout, _ := wantCLI(t, ns, 0, "__complete", "cancel", ""); !strings.HasPrefix(stdout, "runs\tRunning 0/1\n:4") {
		t.Errorf("cancel completes as %q", stdout)
	}
	if stdout, _ := wantCLI(t, ns, 0, "__complete", "retry", "d"); !strings.HasPrefix(stdout, "done\tCompleted 1/1\n:4") {
		t.Errorf("retry completes as %q", stdout)
	}
	if stdout, _ := wantCLI(t, ns, 0, "__complete", "logs", "done", "--task", ""); !strings.HasPrefix(stdout, "0\tCOMPLETED\n:") {
		t.Errorf("--task completes as %q", stdout)
	}
	// A namespace with a pod that runs takes longer to go than the suite has.
	behave(t, runs, rig.Behaviour{})
	awaitReason(t, runs, v1alpha1.ReasonCompleted)
}

// TestCommandLineNeedsNoDiscovery: a list is one request.
func TestCommandLineNeedsNoDiscovery(t *testing.T) {
	ns := namespace(t)
	wantCLI(t, ns, 0, "list")
	err := rig.Await(t.Context(), "the list to be in the audit log", func(context.Context) (bool, string, error) {
		requests, err := cluster.Requests()
		seen := 0
		for i := range requests {
			if strings.HasPrefix(requests[i].UserAgent, "taskgroup/") && strings.Contains(requests[i].URI, "/namespaces/"+ns+"/") {
				seen++
			}
		}
		return seen == 1, strconv.Itoa(seen), err
	})
	if err != nil {
		t.Error(err)
	}
}

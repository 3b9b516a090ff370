// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// killRunner sends SIGKILL to the runner in the pod of a group, which ends all processes
// of the container, as the OOM killer does for a whole cgroup.
func killRunner(t *testing.T, group string) {
	t.Helper()
	var pods corev1.PodList
	if err := cluster.Client.List(t.Context(), &pods, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.NameLabel: group}); err != nil || len(pods.Items) != 1 {
		t.Fatalf("%s has %d pods: %v", group, len(pods.Items), err)
	}
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	uid := string(pods.Items[0].UID)
	for _, path := range groups {
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(raw), "_", "-"), uid) {
			continue
		}
		dir := filepath.Dir(path)
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && strings.TrimSpace(string(name)) == "runner" {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no runner was found in pod %s", pods.Items[0].Name)
}

// awaitFile waits until a file exists in the assets.
func awaitFile(t *testing.T, uri string) {
	t.Helper()
	err := rig.Await(t.Context(), uri+" to exist", func(context.Context) (bool, string, error) {
		_, err := os.Stat(hostPath(uri))
		return err == nil, fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledPodResumes: the container is killed while its second task runs. The next
// attempt does not run the first task again, and the output of the killed task is kept.
func TestKilledPodResumes(t *testing.T) {
	t.Parallel()
	tg := group("killed-pod",
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", `echo ran >> /assets/killed-1; printf first > "$TASKGROUP_OUTPUT"`}},
		v1alpha1.TaskSpec{NodeID: 2, Args: []v1alpha1.NodeID{1}, Command: []string{"sh", "-c",
			`echo ran >> /assets/killed-2; cat "$TASKGROUP_INPUT_1"; if [ "$TASKGROUP_ATTEMPT" = 1 ]; then exec sleep 300; fi`}},
	)
	tg.Spec.Retries.InfrastructureLimit = new(int32(1))
	tg.Spec.Runner = &v1alpha1.RunnerOptions{FlushSeconds: new(int64(1))}
	key := create(t, tg)
	first := contract.AttemptURI("file:///assets/results", string(tg.UID), 1)
	awaitFile(t, contract.CheckpointURI(first, 1))
	awaitFile(t, contract.SegmentURI(first, 2, contract.AssetStdout, 1))
	killRunner(t, "killed-pod")
	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if tg.Status.Attempt != 2 || tg.Status.Summary != "2/2" || tg.Status.Jobs[0].ManifestSHA256 != "" {
		t.Errorf("status is %+v", tg.Status)
	}
	for file, want := range map[string]string{"killed-1": "ran\n", "killed-2": "ran\nran\n"} {
		if got, err := os.ReadFile(hostPath("file:///assets/" + file)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
		}
	}
	m := manifest(t, tg)
	if got := text(t, m, 1, contract.AssetStdout); got != "first" {
		t.Errorf("the second task read %q", got)
	}
	if got, err := os.ReadFile(hostPath(contract.SegmentURI(first, 2, contract.AssetStdout, 1))); err != nil || string(got) != "first" {
		t.Errorf("the killed task printed %q, %v", got, err)
	}
}

// TestLeftoverProcess: a process that a task has put into a session of its own, and
// that writes without end, does not delay the group.
func TestLeftoverProcess(t *testing.T) {
	t.Parallel()
	tg := group("leftover",
		v1alpha1.TaskSpec{NodeID: 0, Command: []string{"python3", "-c", `
import subprocess, sys
ticking = "import time\nwhile True:\n    print('tick', flush=True)\n    time.sleep(0.05)\n"
subprocess.Popen([sys.executable, "-c", ticking], start_new_session=True)
print("first", flush=True)`}},
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"python3", "-c", `
import glob
others = [open(path).read() for path in glob.glob("/proc/[0-9]*/cmdline")]
print("tick runs" if any("time.sleep(0.05)" in other and "glob" not in other for other in others) else "alone")`}},
	)
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	if got := text(t, manifest(t, tg), 1, contract.AssetStdout); got != "alone\n" {
		t.Errorf("the second task printed %q", got)
	}
}

// TestOutputsThatCannotBeWritten: the volume is mounted read-only where the results
// belong. The group fails before the work is done, and once.
func TestOutputsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	tg := group("unwritable", v1alpha1.TaskSpec{NodeID: 0, Command: []string{"sh", "-c", "echo ran >> /counting/unwritable-ran"}})
	tg.Spec.Retries.InfrastructureLimit = new(int32(3))
	tg.Spec.Pod.VolumeMounts = []v1alpha1.VolumeMount{{Name: "assets", MountPath: "/assets", ReadOnly: true}, {Name: "assets", MountPath: "/counting"}}
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonOutputUploadFailed)
	if message := messageOf(tg); tg.Status.Attempt != 1 || !strings.Contains(message, "read-only file system") || !strings.Contains(message, "the output location cannot be written") {
		t.Errorf("attempt %d, message %q", tg.Status.Attempt, message)
	}
	if ran, err := os.ReadFile(hostPath("file:///assets/unwritable-ran")); err == nil {
		t.Errorf("the task ran: %q", ran)
	}
}

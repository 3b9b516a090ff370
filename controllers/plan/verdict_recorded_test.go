// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// recordings are pods as a real kubelet and the runner left them, written by the
// end-to-end tests: see test/e2e/record_test.go. Each has a group of so many tasks
// that is not retried.
var recordings = map[string]struct {
	tasks   int
	reason  v1alpha1.Reason
	source  v1alpha1.Source
	message string
	// states are the tasks' as in outcome; empty for a pod that cannot start.
	states string
}{
	"cancel-by-spec": {2, v1alpha1.ReasonTerminated, v1alpha1.SourceInfrastructure,
		"Task 0: stopped because the pod was told to end: killed by signal 15 (SIGTERM). Its pod was deleted or its node was shut down; to cancel a group, set spec.cancel or delete its Job", "XX"},
	"deleted-pod": {2, v1alpha1.ReasonTerminated, v1alpha1.SourceInfrastructure,
		"Task 0: stopped because the pod was told to end: killed by signal 15 (SIGTERM). Its pod was deleted or its node was shut down; to cancel a group, set spec.cancel or delete its Job", "XX"},
	"evicted":         {1, v1alpha1.ReasonEvicted, v1alpha1.SourceInfrastructure, "Pod NAME was disrupted: EvictionByEvictionAPI: Eviction API: evicting", "X"},
	"exception":       {2, v1alpha1.ReasonTaskError, v1alpha1.SourceUser, "Task 0: ValueError: böse zweite Zeile", "FX"},
	"command-fails":   {2, v1alpha1.ReasonExitCode, v1alpha1.SourceUser, "Task 0: exit code 3", "FX"},
	"segfault":        {2, v1alpha1.ReasonExitCode, v1alpha1.SourceUser, "Task 0: killed by signal 11 (SIGSEGV) before the function returned", "FX"},
	"running-seconds": {2, v1alpha1.ReasonDeadlineExceeded, v1alpha1.SourceUser, "Task 0: the group ran longer than spec.timeouts.runningSeconds of 1 s: killed by signal 15 (SIGTERM)", "FX"},
	"out-of-memory": {2, v1alpha1.ReasonOOMKilled, v1alpha1.SourceUser,
		"Task 0: killed by the kernel for want of memory: the container's limit is 96.0 MiB, its peak was 95.3 MiB: raise spec.pod.resources.limits.memory", "FX"},
	"grows": {1, v1alpha1.ReasonOOMKilled, v1alpha1.SourceUser,
		"Task 0: killed by the kernel for want of memory: the container's limit is 80.0 MiB, its peak was 79.3 MiB: raise spec.pod.resources.limits.memory", "F"},
	"kubelets-deadline": {1, v1alpha1.ReasonDeadlineExceeded, v1alpha1.SourceUser,
		"Pod NAME was terminated by its node: DeadlineExceeded: Pod was active on the node longer than the specified deadline", "F"},
	"no-image": {2, v1alpha1.ReasonImagePullFailed, v1alpha1.SourceInfrastructure,
		`Pod NAME: ErrImageNeverPull: Container image "localhost/does-not/exist:1" is not present with pull policy of Never`, ""},
	"invalid-image": {1, v1alpha1.ReasonImagePullFailed, v1alpha1.SourceInfrastructure,
		`Pod NAME: InvalidImageName: Failed to apply default image tag "Not/An:Image:Name": couldn't parse image name "Not/An:Image:Name": invalid reference format: repository name (An) must be lowercase`, ""},
	"unreachable-registry": {1, v1alpha1.ReasonImagePullFailed, v1alpha1.SourceInfrastructure,
		`Pod NAME: ErrImagePull: failed to pull and unpack image "localhost:1/does-not/exist:1": failed to resolve image: failed to do request: Head "https://localhost:1/v2/does-not/exist/manifests/1": dial tcp 127.0.0.1:1: connect: connection refused`, ""},
	"no-image-volumes": {1, v1alpha1.ReasonContainerConfigError, v1alpha1.SourcePlatform, "The container of pod NAME could not start: StartError: failed to create containerd task: " +
		"failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: " +
		`exec: "/taskgroup/bin/runner": stat /taskgroup/bin/runner: no such file or directory`, ""},
	"sidecar-fails": {2, v1alpha1.ReasonCompleted, "", "All 2 tasks completed", "CC"},
	"storage-exceeded": {1, v1alpha1.ReasonEvicted, v1alpha1.SourceInfrastructure,
		"Pod NAME was terminated by its node: Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 16Mi.", "X"},
	"missing-secret": {1, v1alpha1.ReasonContainerConfigError, v1alpha1.SourcePlatform, `Pod NAME: CreateContainerConfigError: secret "nobody-made-it" not found`, ""},
}

func TestRecordedPods(t *testing.T) {
	files, err := filepath.Glob("testdata/pods/*.json")
	if err != nil || len(files) != len(recordings) {
		t.Errorf("%d files for %d recordings: %v", len(files), len(recordings), err)
	}
	for name, want := range recordings {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("testdata/pods", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var recorded corev1.Pod
			if err := json.Unmarshal(raw, &recorded); err != nil {
				t.Fatal(err)
			}
			if recorded.Annotations["recorded-on"] == "" {
				t.Error("it does not say which Kubernetes it is from")
			}
			tg := testkit.TaskGroup("g").Commands(want.tasks).Retries(0, 0).Obj()
			job := testkit.Job(tg).Obj()
			pod := testkit.Pod(job).Named("NAME").Obj()
			pod.CreationTimestamp, pod.Spec, pod.Status = recorded.CreationTimestamp, recorded.Spec, recorded.Status
			job.CreationTimestamp, job.Status.StartTime = recorded.CreationTimestamp, new(recorded.CreationTimestamp)
			// Where waiting may help, it did not.
			status := plan.Decide(observe(tg, job, pod), recorded.CreationTimestamp.Add(time.Hour)).Status
			got := outcomeOf(plan.Plan{Status: status})
			if want.states == "" {
				last := plan.LastJob(status)
				got.Reason, got.Message, got.States = last.Reason, last.Message, ""
			}
			if diff := cmp.Diff([]string{string(want.reason), want.message, want.states}, []string{string(got.Reason), got.Message, got.States}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if source := got.Reason.Info().Source; source != want.source {
				t.Errorf("the source is %s, want %s", source, want.source)
			}
		})
	}
}

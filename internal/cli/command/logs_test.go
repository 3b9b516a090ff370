// SPDX-License-Identifier: Apache-2.0

package command

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

const podLog = "[taskgroup] task 0: started\none\n[taskgroup] task 0: completed in 1.000 s\n[taskgroup] task 1: started\ntwo\n[taskgroup] task 1: completed in 1.000 s\n"

func TestLogsOfAPod(t *testing.T) {
	tg := testkit.CompletedSample("g")
	b := newBench(t, tg, podOf(tg, "g-1", "1"), podOf(tg, "g-2", "2"))
	b.logs["g-1"], b.logs["g-2"] = podLog, "of another attempt\n"
	for want, args := range map[string][]string{
		podLog:                 nil,
		"of another attempt\n": {"--attempt", "2"},
		"[taskgroup] task 1: started\ntwo\n[taskgroup] task 1: completed in 1.000 s\n": {"--task", "1"},
	} {
		b.want(exitDone, append([]string{"logs", "g"}, args...)...)
		if b.out.String() != want {
			t.Errorf("%v shows %q, want %q", args, b.out.String(), want)
		}
	}
	b.want(exitUsage, "logs", "g", "--task", "7")
	if !strings.Contains(b.err.String(), "it has 0, 1") {
		t.Errorf("said %s", b.err.String())
	}
	b.want(exitUsage, "logs", "g", "-f", "--stderr")
}

func TestLogsOfAParallelGroup(t *testing.T) {
	tg := testkit.CompletedSample("g")
	tg.Spec.Execution = v1alpha1.Parallel
	first, second := podOf(tg, "g-b", "1"), podOf(tg, "g-a", "1")
	first.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "0"}
	second.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "0", v1alpha1.NodesAnnotation: "1"}
	odd := podOf(tg, "odd", "1")
	odd.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "-7", v1alpha1.NodesAnnotation: "9"}
	b := newBench(t, tg, first, second, odd)
	b.logs["g-b"], b.logs["g-a"], b.logs["odd"] = "one\n", "two\n", "?\n"
	b.want(exitDone, "logs", "g")
	if got := b.out.String(); got != "[0] one\n[1] two\n?\n" {
		t.Errorf("showed %q", got)
	}
	b.want(exitDone, "logs", "g", "--task", "1")
	if got := b.out.String(); got != "two\n" || !strings.Contains(b.err.String(), "the begin of the log of task 1 is missing") {
		t.Errorf("a log without marks: %q and %q", got, b.err.String())
	}
}

func TestFollowShowsEveryPodOnce(t *testing.T) {
	tg := testkit.CompletedSample("g")
	pod := podOf(tg, "g-1", "1")
	pod.UID, pod.Status.Phase = "p", corev1.PodSucceeded
	b := newBench(t, tg, pod)
	b.logs["g-1"] = podLog
	b.want(exitDone, "logs", "-f", "g")
	if b.out.String() != podLog {
		t.Errorf("showed %q", b.out.String())
	}
}

// stored is a group whose results are in a folder of this machine.
func stored(t *testing.T) (*v1alpha1.TaskGroup, string) {
	t.Helper()
	folder := t.TempDir()
	return storedIn(t, "file:///assets", folder), folder
}

// storedIn is a group whose results are below a place that is a folder of this machine.
func storedIn(t *testing.T, place, folder string) *v1alpha1.TaskGroup {
	t.Helper()
	tg, outputs := testkit.CompletedSample("g"), place+"/results"
	tg.Spec.Assets.Outputs = v1alpha1.AssetURI(outputs)
	manifest := contract.Manifest{Version: contract.ManifestVersion, UID: string(tg.UID), Attempt: 1}
	attempt := contract.AttemptURI(outputs, string(tg.UID), 1)
	put := func(uri, text string) string {
		path := filepath.Join(folder, strings.TrimPrefix(uri, place+"/"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	for i := range 2 {
		record := contract.TaskRecord{
			NodeID: contract.NodeID(i), State: contract.TaskCompleted, PeakMemoryBytes: 9 << 20, CPUSeconds: 0.25,
			StartTime: &testkit.After(time.Duration(3+i) * time.Second).Time, EndTime: &testkit.After(time.Duration(4+i) * time.Second).Time,
			Assets: map[contract.AssetKey]contract.Asset{},
		}
		for key, text := range map[contract.AssetKey]string{contract.AssetOutput: "result", contract.AssetStdout: "out\n", contract.AssetStderr: ""} {
			uri := contract.AssetURI(attempt, record.NodeID, key)
			record.Assets[key] = contract.Asset{URI: uri, Size: int64(len(text)), SHA256: put(uri, text)}
		}
		manifest.Tasks = append(manifest.Tasks, record)
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	uri := contract.ManifestURI(attempt)
	tg.Status.Manifest = &v1alpha1.ManifestReference{URI: uri, SHA256: put(uri, string(raw))}
	return tg
}

// TestLogsOfAKilledTask: its streams were uploaded in segments.
func TestLogsOfAKilledTask(t *testing.T) {
	tg, folder := stored(t)
	attempt := contract.AttemptURI(string(tg.Spec.Assets.Outputs), string(tg.UID), 1)
	local := func(uri string) string { return filepath.Join(folder, strings.TrimPrefix(uri, "file:///assets/")) }
	if err := os.Remove(local(contract.AssetURI(attempt, 1, contract.AssetStdout))); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"one\n", "two\n"} {
		path := local(contract.SegmentURI(attempt, 1, contract.AssetStdout, i+1))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t, tg)
	b.want(exitDone, "logs", "g", "--mount", "/assets="+folder)
	if got := b.out.String(); got != "==> task 0: stdout <==\nout\n==> task 1: stdout <==\none\ntwo\n" {
		t.Errorf("showed %q", got)
	}
	// A segment that cannot be read ends the stream, whose begin was shown.
	unreadable := local(contract.SegmentURI(attempt, 1, contract.AssetStdout, 3))
	if err := os.Mkdir(unreadable, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(local(contract.SegmentURI(attempt, 1, contract.AssetStdout, 2)), []byte("no end"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.want(exitDone, "logs", "g", "--task", "1", "--mount", "/assets="+folder)
	if got := b.out.String(); !strings.HasSuffix(got, "==> task 1: stdout <==\none\nno end\n") || !strings.Contains(b.err.String(), "the end of the stdout of task 1 is missing") {
		t.Errorf("a segment that cannot be read: %q and %q", got, b.err.String())
	}
}

func TestLogsWhenThePodIsGone(t *testing.T) {
	tg, folder := stored(t)
	b := newBench(t, tg, testkit.RunningSample("young"), testkit.Sample("new", 1))
	b.want(exitDone, "logs", "g", "--mount", "/assets="+folder)
	if got := b.out.String(); got != "==> task 0: stdout <==\nout\n==> task 1: stdout <==\nout\n" {
		t.Errorf("showed %q", got)
	}
	b.want(exitDone, "logs", "g", "--stderr", "--mount", "/assets="+folder)
	if b.out.Len() > 0 {
		t.Errorf("an empty stream is %q", b.out.String())
	}
	for want, args := range map[string][]string{
		"--mount /path/in/the/pods=FOLDER": {"logs", "g"},
		"it has no spec.assets.outputs":    {"logs", "young"},
		"-f waits until it has":            {"logs", "new"},
	} {
		b.want(exitFailed, args...)
		if !strings.Contains(b.err.String(), want) {
			t.Errorf("%v says %q, want %q", args, b.err.String(), want)
		}
	}
	b.want(exitUsage, "logs", "g", "--mount", "assets")
}

// TestEmptyStreamsNeedNoObject: the gateway has no object for a stream without bytes, and
// its record states that. A stream with bytes that is missing is an error.
func TestEmptyStreamsNeedNoObject(t *testing.T) {
	tg, folder := stored(t)
	at := contract.AttemptURI(string(tg.Spec.Assets.Outputs), string(tg.UID), 1)
	remove := func(key contract.AssetKey) {
		t.Helper()
		for node := range 2 {
			if err := os.Remove(filepath.Join(folder, strings.TrimPrefix(contract.AssetURI(at, contract.NodeID(node), key), "file:///assets/"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove(contract.AssetStderr)
	b := newBench(t, tg)
	mount := "/assets=" + folder
	b.want(exitDone, "logs", "g", "--stderr", "--mount", mount)
	if b.out.Len() > 0 {
		t.Errorf("showed %q", b.out.String())
	}
	target := t.TempDir()
	b.want(exitDone, "results", "g", "--mount", mount, "--download", target)
	if raw, err := os.ReadFile(filepath.Join(target, "1", "stderr")); err != nil || len(raw) > 0 {
		t.Errorf("downloaded %q, %v", raw, err)
	}
	remove(contract.AssetStdout)
	b.want(exitFailed, "results", "g", "--mount", mount, "--download", t.TempDir())
}

func TestResults(t *testing.T) {
	tg, folder := stored(t)
	b := newBench(t, tg, testkit.RunningSample("runs"))
	mount := "/assets=" + folder
	b.want(exitDone, "results", "g", "--mount", mount)
	golden(t, "results.txt", b.out.String())
	b.want(exitDone, "results", "g", "--mount", mount, "-o", "json")
	golden(t, "results.json", b.out.String())
	b.want(exitDone, "results", "runs")
	if !strings.Contains(b.out.String(), "RUNNING") || !strings.Contains(b.err.String(), "it has no spec.assets.outputs") {
		t.Errorf("one that runs: %s%s", b.out.String(), b.err.String())
	}
	b.want(exitFailed, "results", "g")
	if !strings.Contains(b.err.String(), "--mount") || !strings.Contains(b.out.String(), "COMPLETED") {
		t.Errorf("a store that is not here: %s%s", b.out.String(), b.err.String())
	}
}

func TestDownload(t *testing.T) {
	tg, folder := stored(t)
	b := newBench(t, tg)
	mount, into := "/assets="+folder, filepath.Join(t.TempDir(), "out")
	b.want(exitDone, "results", "g", "--mount", mount, "--download", into)
	b.want(exitDone, "results", "g", "--mount", mount, "--download", into)
	raw, err := os.ReadFile(filepath.Join(into, "1", "output"))
	if err != nil || string(raw) != "result" {
		t.Errorf("downloaded %q, %v", raw, err)
	}
	stolen := filepath.Join(folder, "results", string(tg.UID), "a1", "0", "output")
	if err := os.WriteFile(stolen, []byte("forged"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.want(exitFailed, "results", "g", "--mount", mount, "--download", filepath.Join(t.TempDir(), "other"))
	if !strings.Contains(b.err.String(), "digest mismatch") {
		t.Errorf("a result that was changed: %s", b.err.String())
	}
	if err := os.WriteFile(filepath.Join(into, "1", "output"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.want(exitFailed, "results", "g", "--mount", mount, "--download", into)
	if !strings.Contains(b.err.String(), "name another folder") {
		t.Errorf("a file that is in the way: %s", b.err.String())
	}
}

// TestForgedManifests: a manifest is made in a pod, and must not make this
// machine read what the pod cannot.
func TestForgedManifests(t *testing.T) {
	tg, folder := stored(t)
	path := filepath.Join(folder, "results", string(tg.UID), "a1", "manifest.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(raw), "file:///assets/results/"+string(tg.UID)+"/a1/0/output", "file:///etc/passwd", 1)
	if err := os.WriteFile(path, []byte(forged), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, tg)
	b.want(exitFailed, "results", "g", "--mount", "/assets="+folder)
	if !strings.Contains(b.err.String(), "it is not the manifest that the status names") {
		t.Errorf("a manifest that was changed: %s", b.err.String())
	}
	sum := sha256.Sum256([]byte(forged))
	tg.Status.Manifest.SHA256 = hex.EncodeToString(sum[:])
	b = newBench(t, tg)
	b.want(exitFailed, "results", "g", "--mount", "/assets="+folder, "--download", t.TempDir())
	if !strings.Contains(b.err.String(), "file:///etc/passwd is not in the group's folder") {
		t.Errorf("a URI of somewhere else: %s", b.err.String())
	}
}

// TestLogsOfARotatedTask: the kubelet deleted the oldest part of the log.
func TestLogsOfARotatedTask(t *testing.T) {
	t.Parallel()
	const rotated = "line 8\nline 9\n[taskgroup] task 0: completed in 1.000 s\n[taskgroup] task 1: started\ntwo\n[taskgroup] task 1: completed in 1.000 s\n"
	tg, folder := stored(t)
	b := newBench(t, tg, podOf(tg, "g-1", "1"))
	b.logs["g-1"] = rotated
	b.want(exitDone, "logs", "g", "--task", "0", "--mount", "/assets="+folder)
	if got := b.out.String(); got != "==> task 0: stdout <==\nout\n" {
		t.Errorf("from the store: %q", got)
	}
	b.want(exitDone, "logs", "g", "--task", "1", "--mount", "/assets="+folder)
	if got := b.out.String(); got != "[taskgroup] task 1: started\ntwo\n[taskgroup] task 1: completed in 1.000 s\n" {
		t.Errorf("a whole task: %q", got)
	}
	tg.Spec.Assets = nil
	b = newBench(t, tg, podOf(tg, "g-1", "1"))
	b.logs["g-1"] = rotated
	b.want(exitDone, "logs", "g", "--task", "0")
	if got := b.out.String(); got != "line 8\nline 9\n[taskgroup] task 0: completed in 1.000 s\n" || !strings.Contains(b.err.String(), "the begin of the log of task 0 is missing") {
		t.Errorf("without a store: %q and %q", got, b.err.String())
	}
}

// TestLogsOfAParallelGroupWithDeletedPods shows each task once.
func TestLogsOfAParallelGroupWithDeletedPods(t *testing.T) {
	t.Parallel()
	tg, folder := stored(t)
	tg.Spec.Execution = v1alpha1.Parallel
	pod, vanished := podOf(tg, "g-0", "1"), podOf(tg, "g-1", "1")
	pod.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "0"}
	vanished.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": "1"}
	for name, b := range map[string]*bench{"deleted before": newBench(t, tg, pod), "deleted meanwhile": newBench(t, tg, pod, vanished)} {
		b.logs["g-0"] = "one\n"
		b.want(exitDone, "logs", "g", "--mount", "/assets="+folder)
		if got := b.out.String(); got != "[0] one\n==> task 1: stdout <==\nout\n" {
			t.Errorf("%s: showed %q", name, got)
		}
	}
}

func TestLogsOfSeveralGroups(t *testing.T) {
	t.Parallel()
	one, two := testkit.CompletedSample("one"), testkit.CompletedSample("two")
	one.Labels, two.Labels = map[string]string{"team": "a"}, map[string]string{"team": "a"}
	first, second := podOf(one, "one-1", "1"), podOf(two, "two-1", "1")
	first.UID, first.Status.Phase, second.UID, second.Status.Phase = "p", corev1.PodSucceeded, "q", corev1.PodSucceeded
	b := newBench(t, one, two, first, second)
	b.logs["one-1"], b.logs["two-1"] = "1\n", "2\n"
	b.want(exitDone, "logs", "-l", "team=a")
	if got := b.out.String(); got != "one: 1\ntwo: 2\n" {
		t.Errorf("showed %q", got)
	}
	b.want(exitDone, "logs", "-f", "-l", "team=a")
	if got := b.out.String(); got != "one: 1\ntwo: 2\n" && got != "two: 2\none: 1\n" {
		t.Errorf("followed %q", got)
	}
	var options corev1.PodLogOptions
	b.open = func(_ string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
		options = *o
		return io.NopCloser(strings.NewReader("")), nil
	}
	b.want(exitDone, "logs", "one", "--tail", "3", "--since", "1m")
	if options.TailLines == nil || *options.TailLines != 3 || options.SinceTime == nil || !options.SinceTime.Time.Equal(testkit.Now.Add(-time.Minute)) {
		t.Errorf("read with %+v", options)
	}
	b.want(exitUsage, "logs", "one", "two")
	b.want(exitUsage, "logs", "one", "--tail", "-7")
	b.want(exitUsage, "logs", "one", "--tail", "1", "--stderr")
}

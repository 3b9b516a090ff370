package executor_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

func TestOptionsRoundTrip(t *testing.T) {
	options := executor.DefaultOptions()
	options.LogStdout, options.TimeLimit, options.Retries = "out.log", 60, 2
	options.Pod = &v1alpha1.PodOptions{Image: "python:3.11"}
	record, err := options.ToDict()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	var stored contract.ExecutorRecord
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	back, err := executor.FromDict(stored)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(options, back); diff != "" {
		t.Errorf("the way there and back (-there +back):\n%s", diff)
	}
	for _, name := range []string{"log_stdout", "log_stderr", "cache_dir", "time_limit", "retries"} {
		if _, ok := stored.Attributes[name]; !ok {
			t.Errorf("%s is no attribute", name)
		}
	}
}

// TestOptionsOfOtherReleases: a dispatch outlives the release that began it.
func TestOptionsOfOtherReleases(t *testing.T) {
	back, err := executor.FromDict(contract.ExecutorRecord{Attributes: map[string]any{"retries": 1, "of_a_later_release": true}})
	want := executor.DefaultOptions()
	want.Retries = 1
	if diff := cmp.Diff(want, back); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := executor.FromDict(contract.ExecutorRecord{Attributes: map[string]any{"retries": "many"}}); !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) {
		t.Errorf("got %v", err)
	}
}

func TestUploadURI(t *testing.T) {
	cluster, _ := fakeCluster(t, interceptor.Funcs{})
	if got := newExecutor(t, cluster).UploadURI(groupOf(3), "function-3"); got != "" {
		t.Errorf("without assets: %q", got)
	}
	e := newExecutor(t, cluster, func(c *executor.Config) { c.Options.Assets = "file:///data/" })
	if got, want := e.UploadURI(groupOf(3), "function-3"), "file:///data/"+executor.Name(dispatch, 3)+"/function-3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJobStatus(t *testing.T) {
	cluster, _ := fakeCluster(t, interceptor.Funcs{})
	d := &dispatcher{}
	e := newExecutor(t, cluster, func(c *executor.Config) { c.Dispatcher = d })
	for state, want := range map[contract.TaskState]bool{contract.TaskRunning: true, contract.TaskCompleted: true, "NEW_OBJECT": false, "": false} {
		delete(d.put, executor.JobStatus)
		got, err := e.SetJobStatus(t.Context(), contract.Status{Status: state})
		if _, put := d.put[executor.JobStatus]; got != want || put != want || err != nil {
			t.Errorf("%q: %t, %v, recorded %t", state, got, err, put)
		}
	}
}

func TestWriteStreamsToFile(t *testing.T) {
	dir := t.TempDir()
	absolute := filepath.Join(dir, "elsewhere", "err.log")
	for range 2 {
		if err := executor.WriteStreamsToFile([]string{"out\n", "err\n", "nowhere"}, []string{"a/out.log", absolute, ""}, "d1", dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{filepath.Join(dir, "d1", "a", "out.log"): "out\nout\n", absolute: "err\nerr\n"} {
		if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("%s has %q, %v; want %q", path, got, err, want)
		}
	}
	if err := executor.WriteStreamsToFile([]string{"x"}, []string{"out.log"}, "../d1", dir); !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) {
		t.Errorf("a dispatch that leads elsewhere: %v", err)
	}
}

func TestLocalPaths(t *testing.T) {
	local := executor.Files{LocalPaths: map[string]string{"/data": "/srv/nfs", "/data/deep": "/mnt/x y"}}
	for uri, want := range map[string]string{
		"file:///data/a": "file:///srv/nfs/a", "file:///data/deep/b": "file:///mnt/x%20y/b", "file:///database": "file:///database",
		"s3://bucket/a": "s3://bucket/a",
	} {
		if got := local.LocalURI(uri); got != want {
			t.Errorf("%s is %s here, want %s", uri, got, want)
		}
	}
}

func TestDispatchContext(t *testing.T) {
	cluster, _ := fakeCluster(t, interceptor.Funcs{})
	ctx := newExecutor(t, cluster).GetDispatchContext(t.Context(), executor.DispatchInfo{DispatchID: "d1"})
	if info, ok := executor.DispatchOf(ctx); !ok || info.DispatchID != "d1" {
		t.Errorf("got %+v, %t", info, ok)
	}
	if _, ok := executor.DispatchOf(t.Context()); ok {
		t.Error("a context without one has one")
	}
}

// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/covalent"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
)

func TestOptionsRoundTrip(t *testing.T) {
	options := executor.DefaultOptions()
	options.LogStdout, options.TimeLimit, options.Retries = "out.log", 60, 2
	options.Pod = &v1alpha1.PodOptions{Image: "python:3.11"}
	record, err := covalent.ToDict(options)
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
	back, err := covalent.FromDict(stored)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(options, back); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	for _, name := range []string{"log_stdout", "log_stderr", "cache_dir", "time_limit", "retries"} {
		if _, ok := stored.Attributes[name]; !ok {
			t.Errorf("%s is no attribute", name)
		}
	}
}

// TestAttributes compares the options with the list that clients in other languages use:
// every attribute, with its name and type.
func TestAttributes(t *testing.T) {
	raw, err := os.ReadFile("../contract/testdata/attributes.json")
	if err != nil {
		t.Fatal(err)
	}
	var attributes map[string]any
	if err := json.Unmarshal(raw, &attributes); err != nil {
		t.Fatal(err)
	}
	options, err := covalent.FromDict(contract.ExecutorRecord{Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	back, err := covalent.ToDict(options)
	if err != nil {
		t.Fatal(err)
	}
	// It excludes cancel_on_stop, and is empty.
	delete(attributes, "callback")
	if diff := cmp.Diff(attributes, back.Attributes); diff != "" {
		t.Errorf("attributes (-listed +known):\n%s", diff)
	}
	attributes["callback"] = ""
	for field := range reflect.TypeFor[executor.Options]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if _, ok := attributes[name]; !ok {
			t.Errorf("%s is not listed", name)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*executor.Options){
		"a name that is no label":             func(o *executor.Options) { o.Dispatcher = "no label" },
		"to cancel what a callback waits for": func(o *executor.Options) { o.CancelOnStop, o.Callback = true, "http://d" },
		"a relative folder":                   func(o *executor.Options) { o.LocalPaths = map[string]string{"/a": "b"} },
		"less than no retries":                func(o *executor.Options) { o.Retries = -1 },
		"a label of the operator":             func(o *executor.Options) { o.Labels = map[string]string{v1alpha1.DispatchLabel: "d"} },
		"an annotation of the operator":       func(o *executor.Options) { o.Annotations = map[string]string{v1alpha1.DeliveredAnnotation: "1"} },
	} {
		options := executor.DefaultOptions()
		change(&options)
		if err := options.Validate(); !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOptionsOfOtherReleases: a dispatch may continue under another release.
func TestOptionsOfOtherReleases(t *testing.T) {
	back, err := covalent.FromDict(contract.ExecutorRecord{Attributes: map[string]any{"retries": 1, "of_a_later_release": true}})
	want := executor.DefaultOptions()
	want.Retries = 1
	if diff := cmp.Diff(want, back); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := covalent.FromDict(contract.ExecutorRecord{Attributes: map[string]any{"retries": "many"}}); !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) {
		t.Errorf("got %v", err)
	}
}

// TestUnknownFields: Send refuses fields that would be dropped. The other verbs accept
// them, for the groups of a newer release.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ attributes, want string }{
		"a misspelled field":            {`{"pod": {"tollerations": []}}`, `pod: unknown field "tollerations"`},
		"a field of another case":       {`{"pod": {"nodeselector": {"a": "b"}}}`, `pod: unknown field "nodeselector"`},
		"a field that is not supported": {`{"pod": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}`, `pod: unknown field "volumes[0].hostPath"`},
		"a nested field":                {`{"pod": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimNam": "c"}}]}}`, `pod: unknown field "volumes[0].persistentVolumeClaim.claimNam"`},
		"an option of a newer release":  {`{"retries": 1, "signed": true}`, `unknown option "signed"`},
		"a field of the runner":         {`{"runner": {"flush": 1}}`, `runner: unknown field "flush"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options executor.Options
			if err := json.Unmarshal([]byte(tc.attributes), &options); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.want}, options.UnknownFields); diff != "" {
				t.Errorf("unknown fields (-want +got):\n%s", diff)
			}
			cluster, _ := fakeCluster(t, interceptor.Funcs{})
			e := newExecutor(t, cluster, func(c *executor.Config) {
				options.Outputs = c.Options.Outputs
				c.Options = options
			})
			tasks, resources := functions(3)
			_, err := e.Send(t.Context(), tasks, resources, groupOf(3))
			if !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Send returned %v, want %q", err, tc.want)
			}
		})
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

// TestUploadsGoWhereThePodsRead: the dispatcher puts objects where its machine has the
// volume, and the spec has the URIs that pods see.
func TestUploadsGoWhereThePodsRead(t *testing.T) {
	name := executor.Name(dispatch, 3)
	for title, tc := range map[string]struct {
		paths        map[string]string
		assets       string
		upload, pods string
	}{
		"the same folder":                 {nil, "file:///data/a", "file:///data/a/" + name, "file:///data/a/" + name},
		"another folder":                  {map[string]string{"/data": "/srv/n f s"}, "file:///data/a/", "file:///srv/n%20f%20s/a/" + name, "file:///data/a/" + name},
		"a folder within the pods' own":   {map[string]string{"/data": "/data/nfs"}, "file:///data", "file:///data/nfs/" + name, "file:///data/" + name},
		"two folders, each the other's":   {map[string]string{"/a": "/b", "/b": "/a"}, "file:///a/x", "file:///b/x/" + name, "file:///a/x/" + name},
		"a folder that is not the assets": {map[string]string{"/elsewhere": "/srv"}, "file:///data", "file:///data/" + name, "file:///data/" + name},
		"no folder":                       {map[string]string{"/data": "/srv"}, "s3://bucket/a", "s3://bucket/a/" + name, "s3://bucket/a/" + name},
	} {
		t.Run(title, func(t *testing.T) {
			cluster, c := fakeCluster(t, interceptor.Funcs{})
			e := newExecutor(t, cluster, func(c *executor.Config) { c.Options.Assets, c.Options.LocalPaths = tc.assets, tc.paths })
			tasks, resources := functions(3)
			resources.Functions[3] = e.UploadURI(groupOf(3), "function-3")
			resources.Hooks = map[contract.NodeID]string{3: e.UploadURI(groupOf(3), "hooks-3")}
			// An object that was not uploaded, because the image has it.
			resources.Inputs = map[contract.NodeID]string{0: e.UploadURI(groupOf(3), "node_0"), 1: "file:///image/weights", 2: ""}
			if want := tc.upload + "/function-3"; resources.Functions[3] != want {
				t.Errorf("it goes to %s, want %s", resources.Functions[3], want)
			}
			if _, err := e.Send(t.Context(), tasks, resources, groupOf(3)); err != nil {
				t.Fatal(err)
			}
			var tg v1alpha1.TaskGroup
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(running(3)), &tg); err != nil {
				t.Fatal(err)
			}
			uri := func(key string) v1alpha1.AssetURI { return v1alpha1.AssetURI(tc.pods + "/" + key) }
			want := &v1alpha1.Assets{
				Functions: v1alpha1.AssetURIs{"3": uri("function-3")}, Hooks: v1alpha1.AssetURIs{"3": uri("hooks-3")},
				Inputs: v1alpha1.AssetURIs{"0": uri("node_0"), "1": "file:///image/weights"}, Outputs: "file:///out",
			}
			if diff := cmp.Diff(want, tg.Spec.Assets); diff != "" {
				t.Errorf("assets (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLocalPaths reads the cases that clients in other languages are tested with.
func TestLocalPaths(t *testing.T) {
	raw, err := os.ReadFile("../contract/testdata/local_paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		LocalPaths map[string]string `json:"local_paths"`
		URI, Here  string
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) == 0 {
		t.Fatal(len(cases), err)
	}
	for _, tc := range cases {
		if got := (results.Files{LocalPaths: tc.LocalPaths}).LocalURI(tc.URI); got != tc.Here {
			t.Errorf("%v: %s is %s here, want %s", tc.LocalPaths, tc.URI, got, tc.Here)
		}
	}
}

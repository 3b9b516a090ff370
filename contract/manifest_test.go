// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func fullManifest() *contract.Manifest {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)
	return &contract.Manifest{
		Version: contract.ManifestVersion, DispatchID: "6f1c", TaskGroupID: 7, UID: "u", Attempt: 2, StartTime: at, EndTime: at.Add(time.Second),
		Python: &contract.PythonVersions{Version: "3.11.7", Cloudpickle: "3.1.2"},
		Tasks: []contract.TaskRecord{
			{
				NodeID: 7, State: contract.TaskCompleted, ExitCode: new(int32(0)), StartTime: &at, EndTime: &at, PeakMemoryBytes: 1 << 20, CPUSeconds: 0.25,
				Assets: map[contract.AssetKey]contract.Asset{contract.AssetOutput: {URI: "file:///größe/7/output", Size: 3, SHA256: digest}},
			},
			{NodeID: 8, State: contract.TaskFailed, Reason: contract.ReasonTaskError, Message: "🙂"},
		},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	want := fullManifest()
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := contract.DecodeManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeManifestRefuses(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"nothing":     {"", "unexpected end of JSON input"},
		"no JSON":     {"{", "unexpected end of JSON input"},
		"no version":  {"{}", "version 0, this release knows 1"},
		"a later one": {`{"version":2}`, "version 2, this release knows 1"},
		"too large":   {strings.Repeat(" ", contract.MaxManifest+1), "4194305 bytes, at most 4194304"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if m, err := contract.DecodeManifest([]byte(test.raw)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("DecodeManifest = %v, %v; want an error with %q", m, err, test.want)
			}
		})
	}
}

func TestURIs(t *testing.T) {
	for _, outputs := range []string{"s3://bucket/prefix", "s3://bucket/prefix/", "s3://bucket/prefix//"} {
		attempt := contract.AttemptURI(outputs, "uid", 2)
		if attempt != "s3://bucket/prefix/uid/a2" {
			t.Errorf("AttemptURI(%q) = %s", outputs, attempt)
		}
		if got := contract.ManifestURI(attempt); got != "s3://bucket/prefix/uid/a2/manifest.json" {
			t.Errorf("ManifestURI = %s", got)
		}
		if got := contract.TaskManifestURI(attempt, 7); got != "s3://bucket/prefix/uid/a2/7/manifest.json" {
			t.Errorf("TaskManifestURI = %s", got)
		}
		if got := contract.AssetURI(attempt, 7, contract.AssetStdout); got != "s3://bucket/prefix/uid/a2/7/stdout" {
			t.Errorf("AssetURI = %s", got)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	raw, err := json.Marshal(fullManifest())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := contract.DecodeManifest(raw)
		if err != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

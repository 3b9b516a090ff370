// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func fullPlan() *contract.Plan {
	return &contract.Plan{
		Version: contract.PlanVersion, DispatchID: "6f1c", TaskGroupID: 7, Namespace: "team-ä", Name: "tg", UID: "u", Attempt: 3,
		Tasks: []contract.PlanTask{
			{NodeID: 7, Function: "file:///f/7", Hooks: "file:///h/7", Args: []contract.NodeID{4, 5}, Kwargs: map[string]contract.NodeID{"größe": 6}},
			{NodeID: 8, Command: []string{"sh", "-c", "echo 日本語 🙂 \x00 \""}},
		},
		Inputs:      map[contract.NodeID]string{4: "file:///4", 5: "file:///5", 6: "s3://b/6?x=%20"},
		Outputs:     "file:///out",
		Previous:    &contract.ManifestReference{URI: "file:///größe/u/a2/manifest.json", SHA256: digest},
		Uncommitted: []int32{1, 2}, Parallel: true, RunningSeconds: 60, TaskSeconds: 1 << 40,
		Settings: contract.RunnerSettings{Python: "/opt/größe/python", Preload: []string{"numpy"}, FlushSeconds: 1, StreamLimitBytes: 2, StoreRetrySeconds: 3, StoreStallSeconds: 4},
	}
}

func TestPlanRoundTrip(t *testing.T) {
	want := fullPlan()
	encoded, err := contract.EncodePlan(want)
	if err != nil {
		t.Fatal(err)
	}
	again, err := contract.EncodePlan(fullPlan())
	if err != nil || again != encoded {
		t.Errorf("equal plans have different encodings: %v", err)
	}
	got, err := contract.DecodePlan(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPlanWithoutTheNewFields is a plan of a release that did not know them: it
// resumes nothing, runs in one pod and has no bounds.
func TestPlanWithoutTheNewFields(t *testing.T) {
	p, err := contract.DecodePlan(packed(t, []byte(`{"version":1,"namespace":"n","name":"g","uid":"u","attempt":1,"tasks":[{"nodeID":1,"command":["true"]}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	if p.Previous != nil || p.Parallel || p.RunningSeconds != 0 || p.TaskSeconds != 0 {
		t.Errorf("plan %+v", p)
	}
	raw, err := json.Marshal(p)
	if err != nil || strings.Contains(string(raw), "previous") || strings.Contains(string(raw), "parallel") || strings.Contains(string(raw), "Seconds") {
		t.Errorf("encoded as %s, %v", raw, err)
	}
}

func TestPlanThatDoesNotFit(t *testing.T) {
	p := fullPlan()
	for i := range 256 {
		// Random names, since equal ones would compress.
		raw := make([]byte, 1024)
		for j := range raw {
			raw[j] = byte('a' + rand.IntN(26))
		}
		p.Tasks = append(p.Tasks, contract.PlanTask{NodeID: contract.NodeID(100 + i), Function: "file:///" + string(raw)})
	}
	if _, err := contract.EncodePlan(p); !errors.Is(err, contract.ErrPlanTooLarge) {
		t.Errorf("err = %v, want ErrPlanTooLarge", err)
	}
}

// packed is what EncodePlan does to JSON.
func packed(t testing.TB, raw []byte) string {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if _, err := zip.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

func TestDecodePlanRefuses(t *testing.T) {
	whole, err := contract.EncodePlan(fullPlan())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ encoded, want string }{
		"nothing":     {"", "unpacking the plan"},
		"no base64":   {"%%%", "unpacking the plan"},
		"no gzip":     {"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=", "unpacking the plan"},
		"cut":         {whole[:len(whole)/2/4*4], "unpacking the plan"},
		"a bomb":      {packed(t, []byte(`{"name":"`+strings.Repeat("a", 9<<20)+`"}`)), "it is larger than"},
		"no JSON":     {packed(t, []byte("{")), "decoding the plan"},
		"a list":      {packed(t, []byte("[]")), "decoding the plan"},
		"no version":  {packed(t, []byte("{}")), "version 0, this runner knows 1 and 2"},
		"a later one": {packed(t, []byte(`{"version":3}`)), "version 3, this runner knows 1 and 2"},
		"a bad node":  {packed(t, []byte(`{"version":1,"inputs":{"x":"file:///x"}}`)), "decoding the plan"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if p, err := contract.DecodePlan(test.encoded); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("DecodePlan = %v, %v; want an error with %q", p, err, test.want)
			}
		})
	}
}

func FuzzDecodePlan(f *testing.F) {
	whole, err := contract.EncodePlan(fullPlan())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(packed(f, []byte(`{"version":1}`)))
	f.Add("")
	f.Fuzz(func(t *testing.T, encoded string) {
		p, err := contract.DecodePlan(encoded)
		if err != nil {
			return
		}
		again, err := contract.EncodePlan(p)
		if errors.Is(err, contract.ErrPlanTooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := contract.DecodePlan(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

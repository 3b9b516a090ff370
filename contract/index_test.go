// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestIndex(t *testing.T) {
	index := &contract.Index{
		Tasks:  []contract.IndexTask{{NodeID: 7, Args: []contract.NodeID{1, 2, 1}, Kwargs: map[string]contract.NodeID{"ä": 3}}},
		Inputs: map[contract.NodeID]string{1: "s3://b/1", 2: "s3://b/2", 3: "s3://b/3"},
	}
	raw, err := contract.EncodeIndex(index)
	if err != nil {
		t.Fatal(err)
	}
	read, err := contract.DecodeIndex(raw)
	if err != nil {
		t.Fatal(err)
	}
	index.Version = 1
	if diff := cmp.Diff(index, read); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	plan := &contract.Plan{
		Tasks:  []contract.PlanTask{{NodeID: 6, Function: "f6", Args: []contract.NodeID{9}}, {NodeID: 7, Function: "f7"}},
		Inputs: map[contract.NodeID]string{9: "s3://b/9"},
	}
	merged, err := plan.WithIndex(read)
	if err != nil {
		t.Fatal(err)
	}
	want := &contract.Plan{
		Tasks: []contract.PlanTask{
			{NodeID: 6, Function: "f6", Args: []contract.NodeID{9}},
			{NodeID: 7, Function: "f7", Args: []contract.NodeID{1, 2, 1}, Kwargs: map[string]contract.NodeID{"ä": 3}},
		},
		Inputs: map[contract.NodeID]string{1: "s3://b/1", 2: "s3://b/2", 3: "s3://b/3", 9: "s3://b/9"},
	}
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if len(plan.Tasks[1].Args) > 0 || len(plan.Inputs) != 1 {
		t.Error("the plan itself was changed")
	}
}

func TestIndexesThatAreRefused(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                       "EOF",
		"{}":                                     "version 0, this release supports 1",
		`{"version":2}`:                          "version 2",
		`{"version":1,"later":{}}`:               "unknown field",
		strings.Repeat(" ", contract.MaxIndex+1): "at most 67108864",
	} {
		if _, err := contract.DecodeIndex([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: error %v, want %q", raw, err, want)
		}
	}
	inline := &contract.Plan{Tasks: []contract.PlanTask{{NodeID: 7, Args: []contract.NodeID{1}}}}
	if _, err := inline.WithIndex(&contract.Index{Tasks: []contract.IndexTask{{NodeID: 7, Args: []contract.NodeID{2}}}}); err == nil {
		t.Error("args in both are accepted")
	}
	if _, err := (&contract.Plan{}).WithIndex(&contract.Index{Tasks: []contract.IndexTask{{NodeID: 7}, {NodeID: 7}}}); err == nil {
		t.Error("a node that comes twice is accepted")
	}
}

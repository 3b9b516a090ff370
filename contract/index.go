// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
)

const (
	// indexVersion is the version of the Index's format.
	indexVersion = 1
	// MaxIndex bounds an index that is read, in bytes. 10,000 inputs take about 2 MiB.
	MaxIndex = 64 << 20
)

// Index has the args, the kwargs and the inputs of tasks that are too many for a
// TaskGroup object: Covalent passes a list of n elements as n args. It is an object in
// the store beside the functions; spec.assets.index refers to it.
type Index struct {
	Version int         `json:"version"`
	Tasks   []IndexTask `json:"tasks"`
	// Inputs maps nodes outside the group to the URIs of their outputs.
	Inputs map[NodeID]string `json:"inputs,omitempty"`
}

// IndexTask has the args and kwargs of a task; see PlanTask.
type IndexTask struct {
	NodeID NodeID            `json:"nodeID"`
	Args   []NodeID          `json:"args,omitempty"`
	Kwargs map[string]NodeID `json:"kwargs,omitempty"`
}

// ObjectReference names an object and its content.
type ObjectReference struct {
	URI string `json:"uri"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// EncodeIndex returns the JSON form. Equal indexes have equal forms.
func EncodeIndex(index *Index) ([]byte, error) {
	versioned := *index
	versioned.Version = indexVersion
	raw, err := json.Marshal(versioned)
	if err != nil {
		return nil, fmt.Errorf("encoding the index: %w", err)
	}
	if len(raw) > MaxIndex {
		return nil, fmt.Errorf("encoding the index: %d bytes, at most %d: pass fewer or shorter arguments", len(raw), MaxIndex)
	}
	return raw, nil
}

// DecodeIndex reads what EncodeIndex returned. It refuses unknown fields: a task must
// not run without an argument that this release does not know.
func DecodeIndex(raw []byte) (*Index, error) {
	if len(raw) > MaxIndex {
		return nil, fmt.Errorf("decoding the index: %d bytes, at most %d", len(raw), MaxIndex)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var index Index
	if err := decoder.Decode(&index); err != nil {
		return nil, fmt.Errorf("decoding the index: %w", err)
	}
	if index.Version != indexVersion {
		return nil, fmt.Errorf("decoding the index: version %d, this release supports %d", index.Version, indexVersion)
	}
	return &index, nil
}

// WithIndex returns a copy of the plan that has the args, kwargs and inputs of an index.
// Tasks of the index that the plan does not have, as those of other pods of a Parallel
// group, are ignored.
func (p *Plan) WithIndex(index *Index) (*Plan, error) {
	indexed := make(map[NodeID]*IndexTask, len(index.Tasks))
	for i := range index.Tasks {
		task := &index.Tasks[i]
		if indexed[task.NodeID] != nil {
			return nil, fmt.Errorf("the index has node %d twice", task.NodeID)
		}
		indexed[task.NodeID] = task
	}
	merged := *p
	merged.Tasks = make([]PlanTask, len(p.Tasks))
	for i, task := range p.Tasks {
		if found := indexed[task.NodeID]; found != nil {
			if len(task.Args)+len(task.Kwargs) > 0 {
				return nil, fmt.Errorf("node %d has args or kwargs both in spec.tasks and in the index", task.NodeID)
			}
			task.Args, task.Kwargs = found.Args, found.Kwargs
		}
		merged.Tasks[i] = task
	}
	merged.Inputs = make(map[NodeID]string, len(p.Inputs)+len(index.Inputs))
	maps.Copy(merged.Inputs, p.Inputs)
	maps.Copy(merged.Inputs, index.Inputs)
	return &merged, nil
}

// SPDX-License-Identifier: Apache-2.0

package covalent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// The identity of the Python class that stores its attributes with every node.
const (
	pythonType = "<class 'covalent_taskgroup_plugin.taskgroup.TaskGroupExecutor'>"
	shortName  = "taskgroup"
)

// ToDict returns the executor as Covalent stores it (covalent/executor/base.py, to_dict).
func ToDict(options executor.Options) (contract.ExecutorRecord, error) {
	record := contract.ExecutorRecord{Type: pythonType, ShortName: shortName}
	raw, err := json.Marshal(options)
	if err == nil {
		err = json.Unmarshal(raw, &record.Attributes)
	}
	if err != nil {
		return record, fmt.Errorf("encoding the options: %w", err)
	}
	return record, nil
}

// FromDict is the inverse of ToDict. Attributes that an older release did not write
// have their defaults. Attributes that this release does not support are left out,
// because the dispatch of a newer release must still finish.
func FromDict(record contract.ExecutorRecord) (executor.Options, error) {
	options := executor.DefaultOptions()
	attributes, names := maps.Clone(record.Attributes), executor.OptionNames()
	maps.DeleteFunc(attributes, func(name string, _ any) bool { return !slices.Contains(names, name) })
	raw, err := json.Marshal(attributes)
	if err != nil {
		return options, fmt.Errorf("%w: reading the executor's attributes: %w", executor.ErrInvalid, err)
	}
	if err := json.Unmarshal(raw, &options); err != nil {
		return options, fmt.Errorf("%w: reading the executor's attributes: %w", executor.ErrInvalid, err)
	}
	if err := options.Validate(); err != nil {
		return options, fmt.Errorf("checking the executor's attributes: %w", err)
	}
	return options, nil
}

// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	// checkpointVersion is the version of the Checkpoint's format.
	checkpointVersion = 1
	// MaxCheckpoint bounds a checkpoint that is read, in bytes.
	MaxCheckpoint = MaxManifest
)

// Checkpoint has the records of tasks of a Sequential group that completed after the
// previous checkpoint of their attempt. It is written after the assets of these tasks,
// while later tasks still have to run. If the pod is killed before it commits a manifest,
// for example by the OOM killer, the next attempt reads the checkpoints and resumes after
// them.
//
// No digest of a checkpoint is known. Its location belongs to one attempt of one object,
// and its UID, attempt and number must match.
type Checkpoint struct {
	Version int `json:"version"`
	// UID is the UID of the TaskGroup object.
	UID     string `json:"uid"`
	Attempt int32  `json:"attempt"`
	// Number counts the checkpoints of an attempt from 1.
	Number int `json:"number"`
	// Python is nil if no function has run so far.
	Python *PythonVersions `json:"python,omitempty"`
	Tasks  []TaskRecord    `json:"tasks"`
}

// CheckpointURI is the location of a checkpoint of an attempt.
func CheckpointURI(attemptURI string, number int) string {
	return attemptURI + "/checkpoints/" + strconv.Itoa(number) + ".json"
}

// StartMarkerURI is the location of the object that an attempt creates before its
// first task starts, in order to find out whether it can write there.
func StartMarkerURI(attemptURI string) string { return attemptURI + "/started.json" }

// TaskStartMarkerURI is the same for the pod of one task of a Parallel group.
func TaskStartMarkerURI(attemptURI string, node NodeID) string {
	return attemptURI + "/" + node.String() + "/started.json"
}

// SegmentURI is the location of a part of a stream that was uploaded while its task
// was running. The segments of a stream are numbered from 1 without gaps; together
// they are the beginning of the stream.
func SegmentURI(attemptURI string, node NodeID, key AssetKey, number int) string {
	return AssetURI(attemptURI, node, key) + ".segments/" + strconv.Itoa(number)
}

// EncodeCheckpoint returns the JSON form.
func EncodeCheckpoint(c *Checkpoint) ([]byte, error) {
	versioned := *c
	versioned.Version = checkpointVersion
	raw, err := json.Marshal(versioned)
	if err != nil {
		return nil, fmt.Errorf("encoding a checkpoint: %w", err)
	}
	return raw, nil
}

// DecodeCheckpoint reads a checkpoint, which must be the one with the given number of the
// given attempt of the object with the given UID. Only completed tasks are in it.
func DecodeCheckpoint(raw []byte, uid string, attempt int32, number int) (*Checkpoint, error) {
	if len(raw) > MaxCheckpoint {
		return nil, fmt.Errorf("decoding a checkpoint: %d bytes, at most %d", len(raw), MaxCheckpoint)
	}
	var c Checkpoint
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("decoding a checkpoint: %w", err)
	}
	switch {
	case c.Version != checkpointVersion:
		return nil, fmt.Errorf("decoding a checkpoint: version %d, this release supports %d", c.Version, checkpointVersion)
	case c.UID != uid || c.Attempt != attempt || c.Number != number:
		return nil, fmt.Errorf("decoding a checkpoint: it is number %d of attempt %d of %s", c.Number, c.Attempt, c.UID)
	}
	for i := range c.Tasks {
		if c.Tasks[i].State != TaskCompleted {
			return nil, fmt.Errorf("decoding a checkpoint: task %d is %s", c.Tasks[i].NodeID, c.Tasks[i].State)
		}
	}
	return &c, nil
}

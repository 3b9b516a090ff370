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
	MaxCheckpoint = 64 << 10
)

// Checkpoint is the record of one completed task of a Sequential group. It is written
// after the task's assets, while later tasks still have to run. If the pod is killed
// before it commits a manifest, for example by the OOM killer, the next attempt reads
// the checkpoints and resumes after them.
//
// No digest of a checkpoint is known. Its location belongs to one attempt of one
// object, and its UID and attempt must match.
type Checkpoint struct {
	Version int `json:"version"`
	// UID is that of the TaskGroup object.
	UID     string `json:"uid"`
	Attempt int32  `json:"attempt"`
	// Python is nil if no function has run so far.
	Python *PythonVersions `json:"python,omitempty"`
	Task   TaskRecord      `json:"task"`
}

// CheckpointURI is the location of a task's checkpoint.
func CheckpointURI(attemptURI string, node NodeID) string {
	return attemptURI + "/" + node.String() + "/checkpoint.json"
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

// DecodeCheckpoint reads the checkpoint of a task, which must be that of the given
// attempt of the object with the given UID. Only a completed task has one.
func DecodeCheckpoint(raw []byte, uid string, attempt int32, node NodeID) (*Checkpoint, error) {
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
	case c.UID != uid || c.Attempt != attempt || c.Task.NodeID != node:
		return nil, fmt.Errorf("decoding a checkpoint: it belongs to task %d in attempt %d of %s", c.Task.NodeID, c.Attempt, c.UID)
	case c.Task.State != TaskCompleted:
		return nil, fmt.Errorf("decoding a checkpoint: the task is %s", c.Task.State)
	}
	return &c, nil
}

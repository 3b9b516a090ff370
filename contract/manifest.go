// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// ManifestVersion is the version of the Manifest's shape that this package writes.
	ManifestVersion = 1
	// MaxManifest bounds a manifest that is read, in bytes.
	MaxManifest = 4 << 20
)

// AssetKey names one of the objects that a task leaves behind. The names are
// Covalent's (covalent/_shared_files/schemas/electron.py, ASSET_TYPES).
type AssetKey string

// The assets of a task.
const (
	AssetOutput AssetKey = "output"
	AssetStdout AssetKey = "stdout"
	AssetStderr AssetKey = "stderr"
	AssetError  AssetKey = "error"
)

// Manifest is the committed record of one attempt: what ran, how it ended and
// its results. It is written last and never over another; a group is Completed
// only with one.
type Manifest struct {
	Version     int    `json:"version"`
	DispatchID  string `json:"dispatchID,omitempty"`
	TaskGroupID int64  `json:"taskGroupID,omitempty"`
	// UID is the UID of the TaskGroup object.
	UID       string    `json:"uid"`
	Attempt   int32     `json:"attempt"`
	StartTime time.Time `json:"startTime"`
	EndTime   time.Time `json:"endTime"`
	// Python is what the functions ran on; nil where no function ran.
	Python *PythonVersions `json:"python,omitempty"`
	Tasks  []TaskRecord    `json:"tasks"`
}

// PythonVersions are the versions of the image's interpreter.
type PythonVersions struct {
	// Version is major.minor.micro.
	Version     string `json:"version"`
	Cloudpickle string `json:"cloudpickle"`
}

// TaskRecord is how one task finished.
type TaskRecord struct {
	NodeID NodeID    `json:"nodeID"`
	State  TaskState `json:"state"`
	// Reason and Message are empty for a completed task.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// ExitCode is the code of the task's process, 128 plus the number of the
	// signal that ended it, or nil where no process ran.
	ExitCode *int32 `json:"exitCode,omitempty"`
	// StartTime and EndTime are nil for a task that did not run.
	StartTime *time.Time `json:"startTime,omitempty"`
	EndTime   *time.Time `json:"endTime,omitempty"`
	// PeakMemoryBytes and CPUSeconds (user and system) are the usage of the task's
	// process and the children it waited for, from wait4(2).
	PeakMemoryBytes int64   `json:"peakMemoryBytes,omitempty"`
	CPUSeconds      float64 `json:"cpuSeconds,omitempty"`
	// Assets holds only what exists at its URI, and empty streams in the gateway; see
	// Asset.IsEmpty.
	Assets map[AssetKey]Asset `json:"assets,omitempty"`
}

// Asset is one object in a store.
type Asset struct {
	URI string `json:"uri"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// emptySHA256 is the digest of no bytes.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// EmptyAsset returns the record of an object without bytes.
func EmptyAsset(uri string) Asset { return Asset{URI: uri, SHA256: emptySHA256} }

// IsEmpty reports whether an object has no bytes. Readers do not request it: the runner
// stores no empty streams in the gateway.
func (a Asset) IsEmpty() bool { return a.Size == 0 && a.SHA256 == emptySHA256 }

// GroupURI returns the location below outputs that belongs to one object.
func GroupURI(outputs, uid string) string { return strings.TrimRight(outputs, "/") + "/" + uid }

// AttemptURI is the place below outputs that belongs to one attempt of one
// object. The UID is part of it, so that a group that is deleted and created
// again under the same name never sees what the previous one wrote.
func AttemptURI(outputs, uid string, attempt int32) string {
	return GroupURI(outputs, uid) + "/a" + strconv.Itoa(int(attempt))
}

// ManifestURI is where an attempt commits its manifest.
func ManifestURI(attemptURI string) string { return attemptURI + "/manifest.json" }

// TaskManifestURI is where the pod of one task of a Parallel group commits its
// manifest.
func TaskManifestURI(attemptURI string, node NodeID) string {
	return attemptURI + "/" + node.String() + "/manifest.json"
}

// AssetURI is where an attempt puts an asset of a task.
func AssetURI(attemptURI string, node NodeID, key AssetKey) string {
	return attemptURI + "/" + node.String() + "/" + string(key)
}

// DecodeManifest reads a manifest. It refuses a version it does not know.
func DecodeManifest(raw []byte) (*Manifest, error) {
	if len(raw) > MaxManifest {
		return nil, fmt.Errorf("decoding the manifest: %d bytes, at most %d", len(raw), MaxManifest)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("decoding the manifest: %w", err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("decoding the manifest: version %d, this release knows %d", m.Version, ManifestVersion)
	}
	return &m, nil
}

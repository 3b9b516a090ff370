// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// commitTask writes the manifest of one task of a Parallel group, by an attempt.
func (l *left) commitTask(node contract.NodeID, attempt int32, output string) {
	at := contract.AttemptURI(string(l.tg.Spec.Assets.Outputs), string(l.tg.UID), attempt)
	uri := contract.AssetURI(at, node, contract.AssetOutput)
	manifest := contract.Manifest{Version: contract.ManifestVersion, UID: string(l.tg.UID), Attempt: attempt, Tasks: []contract.TaskRecord{{
		NodeID: node, State: contract.TaskCompleted,
		Assets: map[contract.AssetKey]contract.Asset{contract.AssetOutput: {URI: uri, Size: int64(len(output)), SHA256: l.write(uri, []byte(output))}},
	}}}
	raw, err := json.Marshal(manifest)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(contract.TaskManifestURI(at, node), raw)
	digest := sha256.Sum256(raw)
	for i := range l.tg.Status.Tasks {
		if l.tg.Status.Tasks[i].NodeID == v1alpha1.NodeID(node) {
			l.tg.Status.Tasks[i].Digest = base64.RawURLEncoding.EncodeToString(digest[:])
			if attempt != l.tg.Status.Attempt {
				l.tg.Status.Tasks[i].Attempt = attempt
			}
		}
	}
}

// TestReceiveParallel: each task has a manifest of its own, of the attempt that
// completed it, and one that failed without a word takes no other's place.
func TestReceiveParallel(t *testing.T) {
	l := leave(t, ended(v1alpha1.ReasonOOMKilled, v1alpha1.TaskCompleted, 3, 4, 5))
	l.tg.Spec.Execution, l.tg.Status.Attempt = v1alpha1.Parallel, 2
	l.commitTask(3, 1, "of the first attempt")
	l.commitTask(4, 2, "of the second")
	l.tg.Status.Tasks[2].State, l.tg.Status.Tasks[2].Reason = v1alpha1.TaskFailed, "OOMKilled"
	updates, err := l.receive()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]int64{0: 20, 1: 13} {
		if got := updates[i].Assets[contract.AssetOutput].Size; got != want {
			t.Errorf("node %d left %d bytes, want %d", updates[i].NodeID, got, want)
		}
	}
	if updates[2].Status.Status != contract.TaskFailed || updates[2].Assets[contract.AssetError].Size == 0 {
		t.Errorf("the task that failed: %+v", updates[2])
	}
	l.tg.Status.Tasks[0].Digest = l.tg.Status.Tasks[1].Digest
	updates, err = l.receive()
	if err != nil || updates[0].Status.Status != contract.TaskFailed || updates[0].Assets[contract.AssetError].Size == 0 || updates[1].Assets[contract.AssetOutput].Size != 13 {
		t.Errorf("with the digest of another task: %+v, %v", updates, err)
	}
}

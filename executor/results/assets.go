// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"fmt"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Assets returns the assets of a record that may be passed on: those below the
// group's own folder. A task can forge its record, but not where it may write; the
// dispatcher copies any file that an update names. An error means that the record must not
// be used.
func (r *Reader) Assets(ctx context.Context, tg *v1alpha1.TaskGroup, record *contract.TaskRecord) (map[contract.AssetKey]contract.AssetUpdate, error) {
	updates := make(map[contract.AssetKey]contract.AssetUpdate, len(record.Assets)+1)
	for key, asset := range record.Assets {
		if err := store.Below(Location(tg), asset.URI); err != nil {
			return updates, fmt.Errorf("node %d: its %s: %w", record.NodeID, key, err)
		}
		if isFile(asset.URI) {
			size, err := sizeOf(ctx, r.Objects, tg.Spec.OutputsURI(), asset.URI)
			if err == nil && size != asset.Size {
				err = fmt.Errorf("it has %d bytes, recorded are %d", size, asset.Size)
			}
			if err != nil && key == contract.AssetOutput {
				return updates, fmt.Errorf("node %d: its %s %s: %w", record.NodeID, key, asset.URI, err)
			} else if err != nil {
				continue
			}
		}
		updates[key] = contract.AssetUpdate{RemoteURI: asset.URI, Size: asset.Size, DigestAlg: "sha256", Digest: asset.SHA256}
	}
	return updates, nil
}

// StrayStreams returns what a killed pod had uploaded before: no record has it, so that
// the store is searched. A task that had finished has whole streams; one that was running
// has segments. An error is a warning: the result does not depend on it.
func (r *Reader) StrayStreams(ctx context.Context, tg *v1alpha1.TaskGroup, node contract.NodeID) map[contract.AssetKey]contract.AssetUpdate {
	updates := map[contract.AssetKey]contract.AssetUpdate{}
	outputs := tg.Spec.OutputsURI()
	if outputs == "" || tg.Status.Attempt == 0 {
		return updates
	}
	at := contract.AttemptURI(outputs, string(tg.UID), tg.Status.Attempt)
	for _, key := range []contract.AssetKey{contract.AssetStdout, contract.AssetStderr} {
		uri := contract.AssetURI(at, node, key)
		if size, err := sizeOf(ctx, r.Objects, tg.Spec.OutputsURI(), uri); err == nil {
			updates[key] = contract.AssetUpdate{RemoteURI: uri, Size: size}
		} else if assembled, err := r.writeStream(ctx, tg, node, key); err != nil {
			r.Warn(err)
		} else if assembled != nil {
			updates[key] = *assembled
		}
	}
	return updates
}

// Location returns where a group, and no other one, writes.
func Location(tg *v1alpha1.TaskGroup) string {
	return contract.GroupURI(tg.Spec.OutputsURI(), string(tg.UID))
}

func isFile(uri string) bool { return strings.HasPrefix(uri, "file:") }

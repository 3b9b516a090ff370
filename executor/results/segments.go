// SPDX-License-Identifier: Apache-2.0

package results

import (
	"bytes"
	"context"
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// maxAssembled bounds what is assembled of a stream, in bytes: more than the runner
// keeps by default.
const maxAssembled = 80 << 20

// writeStream assembles a stream of a killed task from its segments in a file, and
// returns it as an asset; nil if there are no segments.
func (r *Reader) writeStream(ctx context.Context, tg *v1alpha1.TaskGroup, node contract.NodeID, key contract.AssetKey) (*contract.AssetUpdate, error) {
	at := contract.AttemptURI(tg.Spec.OutputsURI(), string(tg.UID), tg.Status.Attempt)
	var text bytes.Buffer
	for number := 1; text.Len() < maxAssembled; number++ {
		segment, err := Read(ctx, r.Objects, tg.Spec.OutputsURI(), contract.SegmentURI(at, node, key, number), maxAssembled)
		if err != nil {
			break
		}
		text.Write(segment)
	}
	if text.Len() == 0 {
		return nil, nil
	}
	path, err := r.writeCached(tg, fmt.Sprintf("%s-%d.txt", key, node), text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("writing the %s of node %d: %w", key, node, err)
	}
	return &contract.AssetUpdate{RemoteURI: local.URI(path), Size: int64(text.Len()), DigestAlg: "sha256", Digest: digest(text.Bytes())}, nil
}

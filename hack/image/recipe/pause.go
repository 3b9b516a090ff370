// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"context"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
)

// WritePause builds the program of sandbox containers and writes its image
// under the reference that a node's containerd is set to.
func WritePause(ctx context.Context, builder build.Builder, hackDir, output string) error {
	target := build.PauseTarget(hackDir)
	if err := builder.Build(ctx, []build.Target{target}); err != nil {
		return err
	}
	return Binary{Reference: node.SandboxImage, File: builder.Path(target), User: Nonroot}.Write(output)
}

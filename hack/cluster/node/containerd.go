// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/mounts"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
)

const readyTimeout = 2 * time.Minute

// imageNamespace is where the kubelet's side of containerd keeps its images.
const imageNamespace = "k8s.io"

// StartContainerd lays out the node's files and starts containerd. It needs no
// control plane, so it can run beside the start of one.
func StartContainerd(ctx context.Context, c Config, report *progress.Reporter) error {
	if err := c.writeFiles(); err != nil {
		return err
	}
	if err := mounts.Bind(c.Layout.KubeletData(), c.Layout.Kubelet()); err != nil {
		return err
	}
	return report.Step("starting containerd", func() error {
		containerd, err := c.start("containerd", "--config="+filepath.Join(c.Layout.Config(), "containerd.toml"))
		if err != nil {
			return err
		}
		return process.Await(ctx, containerd, readyTimeout, func(ctx context.Context) error {
			return dial(ctx, c.Layout.ContainerdSocket())
		})
	})
}

func dial(ctx context.Context, socket string) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("connecting to containerd: %w", err)
	}
	return connection.Close()
}

// ImportImages loads image archives into the cluster's containerd.
func ImportImages(ctx context.Context, l layout.Layout, bin string, archives []string, report *progress.Reporter) error {
	for _, archive := range archives {
		err := report.Step("loading "+filepath.Base(archive), func() error {
			cmd := exec.CommandContext(ctx, filepath.Join(bin, "ctr"), "--address", l.ContainerdSocket(),
				"--namespace", imageNamespace, "images", "import", archive)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("loading the image archive %s: %w: %s", archive, err, strings.TrimSpace(string(out)))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
)

func pushCommand(report *progress.Reporter) *cobra.Command {
	return &cobra.Command{
		Use:   "push FILE.tar REFERENCE",
		Short: "Push an image archive to a registry; one on a private address needs no TLS",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return report.Step("pushing "+args[1], func() error {
				reference, err := name.ParseReference(args[1])
				if err != nil {
					return fmt.Errorf("reading the reference: %w", err)
				}
				image, err := tarball.ImageFromPath(args[0], nil)
				if err != nil {
					return fmt.Errorf("reading the archive: %w", err)
				}
				if err := remote.Write(reference, image, remote.WithContext(cmd.Context())); err != nil {
					return fmt.Errorf("pushing: %w", err)
				}
				return nil
			})
		},
	}
}

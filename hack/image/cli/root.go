// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
	"github.com/taskgroup-operator/taskgroup-operator/hack/image/recipe"
)

// Run runs one command.
func Run(ctx context.Context, args []string, stderr io.Writer) error {
	report := progress.New(stderr)
	root := &cobra.Command{
		Use:           "image",
		Short:         "Make image archives without a container engine or a registry",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(binaryCommand(report), pythonCommand(report), pauseCommand(report), pushCommand(report))
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

func binaryCommand(report *progress.Reporter) *cobra.Command {
	var image recipe.Binary
	var output string
	cmd := &cobra.Command{
		Use:     "binary --ref REFERENCE --file PROGRAM --output FILE.tar",
		Short:   "Make an image of one static program",
		Example: "  image binary --ref localhost/taskgroup-operator/manager:dev --file bin/manager --output bin/manager.tar",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return report.Step("making "+image.Reference, func() error { return image.Write(output) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&image.Reference, "ref", "", "reference of the image, such as localhost/taskgroup-operator/manager:dev")
	flags.StringVar(&image.File, "file", "", "the program; it becomes /<name> and the entrypoint")
	flags.StringVar(&image.User, "user", recipe.Nonroot, "user and group that the program runs as")
	flags.StringVar(&image.CACertificates, "ca-certificates", "", "bundle of certificate authorities to include (default none)")
	flags.StringVar(&output, "output", "", "archive to write")
	require(cmd, "ref", "file", "output")
	return cmd
}

func pythonCommand(report *progress.Reporter) *cobra.Command {
	var reference, output string
	cmd := &cobra.Command{
		Use:   "python --output FILE.tar",
		Short: "Make an image with Debian's Python, cloudpickle and numpy, unless the archive is current",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return recipe.WritePython(cmd.Context(), reference, output, report)
		},
	}
	cmd.Flags().StringVar(&reference, "ref", "localhost/taskgroup-operator/python:dev", "reference of the image")
	cmd.Flags().StringVar(&output, "output", "", "archive to write")
	require(cmd, "output")
	return cmd
}

func pauseCommand(report *progress.Reporter) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "pause --output FILE.tar",
		Short: "Make the image of a pod's sandbox container (\"cluster up\" does this by itself)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repository, err := workspace.Find()
			if err != nil {
				return err
			}
			dir, err := build.DefaultDir(repository)
			if err != nil {
				return err
			}
			builder := build.Builder{Dir: dir, Report: report}
			return recipe.WritePause(cmd.Context(), builder, repository.Hack(), output)
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "archive to write")
	require(cmd, "output")
	return cmd
}

func require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		// It fails only for a flag that does not exist.
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
}

// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/push"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/release"
	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/sign"
)

// Run runs one command.
func Run(ctx context.Context, args []string, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "dist",
		Short:         "Make, sign and verify the artifacts of a release",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(buildCommand(stderr), signCommand(), verifyCommand(stderr), compareCommand(), keygenCommand(), pushCommand(stderr))
	root.SetArgs(args)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func signCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign --key FILE DIR",
		Short: "Sign the checksums and the images of a release",
		Long:  "Sign the checksums and the images of a release, in the formats of cosign.\n\nThe password of the key is in " + sign.PasswordVariable + ".",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return sign.Sign(args[0], key) },
	}
	cmd.Flags().StringVar(&key, "key", "", "private key, as PEM")
	_ = cmd.MarkFlagRequired("key")
	return cmd
}

func verifyCommand(stderr io.Writer) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "verify [--key FILE] DIR",
		Short: "Verify the digests of a release, and its signatures",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := sign.Verify(args[0], key); err != nil {
				return err
			}
			signed := "and signatures are correct"
			if key == "" {
				signed = "are correct; signatures were not verified without --key"
			}
			fmt.Fprintf(stderr, "%s: digests %s\n", args[0], signed)
			return nil
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "public key, as PEM; without it only digests are verified")
	return cmd
}

func pushCommand(stderr io.Writer) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "push --key FILE DIR",
		Short: "Push the images and the chart of a release to their registry",
		Long:  "Push the images and the chart of a release to their registry, with signatures, bills of\nmaterials and provenance. The release is verified first. The credentials are those of\n\"docker login\".",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := sign.Verify(args[0], key); err != nil {
				return err
			}
			return push.Release(cmd.Context(), args[0], func(reference string) { fmt.Fprintln(stderr, "==> pushing", reference) })
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "public key of the release, as PEM")
	_ = cmd.MarkFlagRequired("key")
	return cmd
}

func compareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare DIR DIR",
		Short: "Compare two unsigned releases file by file",
		Args:  cobra.ExactArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return release.Compare(args[0], args[1]) },
	}
}

func keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen PRIVATE PUBLIC",
		Short: "Generate a key pair",
		Long:  "Generate a key pair. The private key is encrypted if " + sign.PasswordVariable + " is set.",
		Args:  cobra.ExactArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return sign.GenerateKey(args[0], args[1]) },
	}
}

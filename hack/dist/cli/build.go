// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/hack/dist/release"
)

// source are the flags that state what is built.
type source struct {
	commit     string
	date       int64
	allowDirty bool
}

func buildCommand(stderr io.Writer) *cobra.Command {
	var options release.Options
	var from source
	var python string
	cmd := &cobra.Command{
		Use:   "build --version VERSION",
		Short: "Build all artifacts of a release into a folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Version = strings.TrimPrefix(options.Version, "v")
			options.DownloadURL = cmp.Or(options.DownloadURL, "https://github.com/taskgroup-operator/taskgroup-operator/releases/download/v"+options.Version)
			options.Report = func(step string) { fmt.Fprintln(stderr, "==>", step) }
			interpreter, err := exec.LookPath(python)
			if err != nil {
				return fmt.Errorf("looking for Python: %w", err)
			}
			if err := absolute(&options.Root, &options.Output, &interpreter); err != nil {
				return err
			}
			if err := from.read(cmd.Context(), &options); err != nil {
				return err
			}
			options.Build = release.GoBuilder(options.Root, options.Tag())
			options.Wheels = release.PythonWheels(options.Root, interpreter, options.Version, options.Platforms)
			// Before the changelog, which has no section of a version that is none.
			if err := options.Validate(); err != nil {
				return err
			}
			if err := checkChangelog(options, stderr); err != nil {
				return err
			}
			return release.Run(cmd.Context(), options)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.Version, "version", "", "version of the release, such as 0.2.0")
	flags.StringVar(&options.Root, "root", ".", "checkout to build")
	flags.StringVar(&options.Output, "output", "dist", "folder of the release; a previous release is replaced")
	flags.StringVar(&options.Registry, "registry", "localhost/taskgroup-operator", "prefix of the images in manifests and chart")
	flags.StringSliceVar(&options.Platforms, "platforms", nil, "platforms to build, such as linux/amd64, for a try; all by default")
	flags.StringVar(&options.DownloadURL, "download-url", "", "address of the archives, for krew; the release on GitHub by default")
	flags.StringVar(&python, "python", "python3", "Python with pip and setuptools, which builds the wheels")
	flags.StringVar(&from.commit, "commit", "", "commit of the sources; that of the checkout by default")
	flags.Int64Var(&from.date, "date", 0, "time of the commit in seconds; that of the checkout by default, or $SOURCE_DATE_EPOCH")
	flags.BoolVar(&from.allowDirty, "allow-dirty", false, "build a checkout with changes, for a try")
	_ = cmd.MarkFlagRequired("version")
	return cmd
}

// absolute resolves paths, because programs are started in other folders.
func absolute(paths ...*string) error {
	for _, path := range paths {
		resolved, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("resolving %s: %w", *path, err)
		}
		*path = resolved
	}
	return nil
}

// read sets the commit and its time.
func (s source) read(ctx context.Context, options *release.Options) error {
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil && s.date == 0 {
		s.date = epoch
	}
	if s.commit != "" && s.date != 0 {
		options.Commit, options.Created = s.commit, time.Unix(s.date, 0).UTC()
		return nil
	}
	head, err := git(ctx, options.Root, "log", "-1", "--format=%H %ct")
	if err != nil {
		return fmt.Errorf("reading the commit (for sources without Git, use --commit and --date): %w", err)
	}
	changes, err := git(ctx, options.Root, "status", "--porcelain")
	if err != nil {
		return fmt.Errorf("reading the state of the checkout: %w", err)
	}
	commit, seconds, _ := strings.Cut(head, " ")
	date, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the time of the commit: %w", err)
	}
	if changes != "" {
		if !s.allowDirty {
			return errors.New("the checkout has changes, which the commit of the provenance does not have: commit them, or use --allow-dirty for a try\n" + changes)
		}
		commit += "-dirty"
	}
	options.Commit, options.Created = cmp.Or(s.commit, commit), time.Unix(cmp.Or(s.date, date), 0).UTC()
	return nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

func checkChangelog(options release.Options, stderr io.Writer) error {
	changelog, err := os.ReadFile(filepath.Join(options.Root, "CHANGELOG.md"))
	if err != nil {
		return fmt.Errorf("reading the changelog: %w", err)
	}
	released, err := release.CheckChangelog(string(changelog), options.Version)
	if err == nil && !released {
		fmt.Fprintf(stderr, "warning: the changes of %s are in the section Unreleased of CHANGELOG.md\n", options.Version)
	}
	return err
}

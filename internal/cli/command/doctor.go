// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/asset"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/submission"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

// localPythonTimeout bounds the start of this machine's Python.
const localPythonTimeout = 10 * time.Second

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	request         submission.Request
	python          string
	assets, outputs string
	noPod           bool
	timeout         time.Duration
	mounts          mountFlag
	format          output.Format
}

func (a *app) doctorCommand() *cobra.Command {
	options := doctorOptions{mounts: a.newMounts()}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what groups need: cluster, operator, permissions, store and image",
		Long: `Check what groups need, and what to do about each failure: the cluster, the CRD,
the operator, your permissions, the namespace, the store from this machine, and,
in a short-lived pod, the store and the image. The pod has the options that are
given here; use those of your groups. Everything that is created is removed, also
on Ctrl-C. The exit code is 1 if a check failed; warnings do not change it.

The Python of the image is compared with this machine's python3, if there is one:
Covalent's functions need the same minor version on both sides.`,
		Example: a.text(`  {cmd} doctor
  {cmd} doctor --image my/image:1 --assets s3://bucket/prefix --service-account worker
  {cmd} doctor --assets file:///assets --volume claim:/assets --mount /assets=/mnt/assets
  {cmd} doctor --no-pod -o json`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := options.format.Check(output.Table, output.JSON, output.YAML); err != nil {
				return misused("%w", err)
			}
			return a.doctor(cmd.Context(), &options)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&options.request.Image, "image", "", "image of the pod; the operator's default image by default")
	flags.StringVar(&options.python, "python", "", "Python interpreter of the image; python3 by default")
	flags.StringVar(&options.request.ServiceAccount, "service-account", "", "identity of the pod")
	flags.Var(pairs{&options.request.Env}, "env", "environment of the pod, as NAME=value (repeatable)")
	flags.StringArrayVar(&options.request.Volumes, "volume", nil, "a claim to mount, as CLAIM:/path or CLAIM:/path:ro (repeatable)")
	flags.StringVar(&options.assets, "assets", "", "URI below which this machine writes functions and inputs")
	flags.StringVar(&options.outputs, "outputs", "", "URI below which pods write results; --assets by default")
	flags.BoolVar(&options.noPod, "no-pod", false, "leave out the checks that start a pod")
	flags.DurationVar(&options.timeout, "timeout", 2*time.Minute, "how long to wait for the pod")
	options.mounts.bind(cmd)
	outputFlag(cmd, &options.format, output.JSON, output.YAML)
	for _, flag := range []string{"image", "python", "service-account", "assets", "outputs", "volume", "env", "timeout"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func (a *app) doctor(ctx context.Context, options *doctorOptions) error {
	group, err := options.group()
	if err != nil {
		return misused("%w", err)
	}
	config := doctor.Config{
		Connect: a.connectDoctor, Group: group,
		Assets: options.assets, Outputs: options.outputs, LocalPaths: options.mounts.mounts.Paths(),
		Stores: asset.Stores(a.gateway()), Gateway: a.gateway().Connect, Versions: localVersions(ctx), NoPod: options.noPod, Timeout: options.timeout,
		Progress: func(text string) { fmt.Fprintln(a.Err, text) },
	}
	if options.format == output.Table {
		config.Done = a.printCheck
	}
	report, err := doctor.Run(ctx, config)
	if err != nil {
		return fmt.Errorf("the checks were stopped, and everything was removed: %w", err)
	}
	if options.format != output.Table {
		if err := output.Encode(a.Out, options.format, report); err != nil {
			return err
		}
	}
	if !report.OK {
		return &exitError{code: exitFailed}
	}
	return nil
}

// group returns a group with the options of the flags.
func (o *doctorOptions) group() (*v1alpha1.TaskGroup, error) {
	if o.timeout <= 0 {
		return nil, fmt.Errorf("--timeout is longer than 0, not %s", o.timeout)
	}
	request := o.request
	// Any command: the checks have one of their own.
	request.Command = []string{"true"}
	group, err := request.TaskGroup()
	if err != nil {
		return nil, err
	}
	if o.python != "" {
		group.Spec.Runner = &v1alpha1.RunnerOptions{Python: o.python}
	}
	return group, nil
}

// connectDoctor connects to the cluster of the flags.
func (a *app) connectDoctor() (*doctor.Cluster, error) {
	session, err := a.session()
	if err != nil {
		if problem, ok := errors.AsType[*cluster.Problem](cluster.Explain(err)); ok {
			return nil, &doctor.ConnectError{What: problem.What, Next: problem.Next}
		}
		return nil, err
	}
	return a.Diagnose(session)
}

// printCheck prints a check, and below it what to do.
func (a *app) printCheck(check doctor.Check) {
	colours := map[doctor.Status]terminal.Colour{
		doctor.OK: terminal.Green, doctor.Warning: terminal.Yellow, doctor.Failed: terminal.Red, doctor.Skipped: terminal.Dim,
	}
	status := a.palette.Paint(colours[check.Status], fmt.Sprintf("%-8s", check.Status))
	fmt.Fprintf(a.Out, "%s %-12s %s\n", status, check.Name, table.Clean(check.Message))
	if check.Next != "" {
		fmt.Fprintf(a.Out, "%22s%s %s\n", "", a.palette.Paint(terminal.Bold, "next:"), table.Clean(check.Next))
	}
}

// localVersions returns the versions of this machine's python3; none if there is none.
func localVersions(ctx context.Context) doctor.Versions {
	ctx, cancel := context.WithTimeout(ctx, localPythonTimeout)
	defer cancel()
	raw, err := exec.CommandContext(ctx, "python3", "-c", contract.VersionsScript).Output()
	if err != nil {
		return doctor.Versions{}
	}
	var found doctor.Versions
	if json.Unmarshal(raw, &found) != nil {
		return doctor.Versions{}
	}
	return found
}

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/podlog"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/submission"
)

// submitOptions are the flags of submit.
type submitOptions struct {
	request submission.Request
	file    string
	dryRun  bool
	wait    bool
	follow  bool
	waiting waitOptions
	format  output.Format
}

func (a *app) submitCommand() *cobra.Command {
	options := submitOptions{waiting: waitOptions{until: "finished"}}
	cmd := &cobra.Command{
		Use:   "submit [flags] -- COMMAND [ARG...]",
		Short: "Run a command, several tasks, or a Python function as a group",
		Long: `Run a command as a group of one task; or several tasks, each a line for sh, in
order in one pod or, with --parallel, in a pod each; or a function of a Python
file, which goes along in the group: the image needs python3 and what the file
imports, nothing else. What the function returns is printed.

--arg and --kwarg take JSON, or text where it is none: --arg 3 --arg hello.`,
		Example: a.text(`  {cmd} submit --image python:3.12 --wait -- python3 -c 'print("hello")'
  {cmd} submit --task 'make' --task 'make check' --memory 2Gi
  {cmd} submit --parallel --task 'sh part.sh 1' --task 'sh part.sh 2'
  {cmd} submit --python model.py:train --arg 10 --kwarg rate=0.1
  {cmd} submit --gpu 1 --node-selector disk=ssd --follow -- python3 train.py
  {cmd} submit --file group.yaml --name nightly --wait
  {cmd} submit --dry-run -o yaml -- sh -c 'date' > group.yaml`),
		RunE: a.run(func(cmd *cobra.Command, command []string) error {
			options.request.Command = command
			return a.submit(cmd, &options)
		}),
	}
	bindRequest(cmd, &options.request)
	flags := cmd.Flags()
	flags.StringVar(&options.file, "file", "", "a manifest of one TaskGroup, or - for standard input, in place of what to run")
	flags.BoolVar(&options.follow, "follow", false, "show what it prints, then the exit code of wait")
	flags.BoolVar(&options.dryRun, "dry-run", false, "print what would be created")
	flags.BoolVar(&options.wait, "wait", false, "wait until it has finished; see wait for the exit codes")
	options.waiting.bind(cmd)
	outputFlag(cmd, &options.format, output.JSON, output.YAML, output.Name)
	_ = cmd.RegisterFlagCompletionFunc("python", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return []cobra.Completion{"py"}, cobra.ShellCompDirectiveFilterFileExt
	})
	return cmd
}

func bindRequest(cmd *cobra.Command, r *submission.Request) {
	flags := cmd.Flags()
	flags.StringVar(&r.Name, "name", "", "name of the group; made of the command's by default")
	flags.Var(pairs{&r.Labels}, "label", "labels of the group, such as team=a (repeatable)")
	flags.StringVar(&r.Queue, "queue", "", "Kueue's queue for it")
	flags.StringArrayVar(&r.Lines, "task", nil, "a task, as a line for sh (repeatable)")
	flags.StringVar(&r.Python, "python", "", "a function, as file.py:function")
	flags.StringArrayVar(&r.Args, "arg", nil, "with --python: a positional argument (repeatable)")
	flags.Var(pairs{&r.Kwargs}, "kwarg", "with --python: a keyword argument, as name=value (repeatable)")
	flags.StringVar(&r.Image, "image", "", "image that the tasks run in; the operator's default image by default")
	flags.StringVar(&r.ServiceAccount, "service-account", "", "identity of the pod")
	flags.StringVar(&r.Memory, "memory", "", "memory request and limit, such as 2Gi")
	flags.StringVar(&r.CPU, "cpu", "", "processors to set aside, such as 500m")
	flags.Int64Var(&r.GPU, "gpu", 0, "number of GPUs")
	flags.StringVar(&r.GPUResource, "gpu-resource", "nvidia.com/gpu", "resource that --gpu counts")
	flags.Var(pairs{&r.NodeSelector}, "node-selector", "labels of the nodes to run on, such as disk=ssd (repeatable)")
	_ = cmd.RegisterFlagCompletionFunc("gpu-resource", completeFrom("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915"))
	flags.Var(pairs{&r.Env}, "env", "environment, as NAME=value (repeatable)")
	flags.StringArrayVar(&r.Volumes, "volume", nil, "a claim to mount, as CLAIM:/path or CLAIM:/path:ro (repeatable)")
	flags.StringVar(&r.Outputs, "outputs", "", "URI below which results go; the asset gateway of the cluster by default, and "+submission.NoOutputs+" for the pod's log only")
	flags.BoolVar(&r.Parallel, "parallel", false, "a pod for each task, instead of all in order in one pod")
	flags.Int32Var(&r.Parallelism, "parallelism", 0, "with --parallel: how many pods at a time; all by default")
	flags.Int32Var(&r.Retries, "retries", 0, "how often a failure of the tasks is retried")
	flags.Int64Var(&r.TimeLimit, "time-limit", 0, "how long the pod may run, in seconds; for ever by default")
	flags.Int32Var(&r.TTL, "ttl", 0, "seconds after its end until the group is deleted; never by default")
	flags.BoolVar(&r.Suspend, "suspend", false, "create it suspended; resume lets it run")
}

// gatewayTimeout bounds how long a submission waits for the asset gateway.
const gatewayTimeout = 10 * time.Second

// chooseOutputs keeps the results of a group in the gateway of the cluster, if it has one
// and nothing else was requested.
func (a *app) chooseOutputs(ctx context.Context, session *cluster.Session, tg *v1alpha1.TaskGroup, requested string) error {
	if requested != "" || tg.Spec.Assets != nil || session.Config == nil {
		return nil
	}
	found, err := session.Gateway(tg.Namespace)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	switch err := found.Check(ctx); {
	case err == nil:
		tg.Spec.Assets = &v1alpha1.Assets{Outputs: v1alpha1.AssetURI(found.Outputs())}
	case !errors.Is(err, gateway.ErrNone):
		fmt.Fprintf(a.Err, "the results will not be kept: %s\n", err)
	}
	return nil
}

func (a *app) submit(cmd *cobra.Command, options *submitOptions) error {
	if err := options.format.Check(output.Table, output.JSON, output.YAML, output.Name); err != nil {
		return misused("%w", err)
	}
	tg, err := a.requested(options)
	if err != nil {
		return misused("%w", err)
	}
	if options.dryRun {
		tg.Namespace = cmp.Or(tg.Namespace, cmd.Flag("namespace").Value.String())
		return a.printNew(options.format, tg)
	}
	session, err := a.session()
	if err != nil {
		return err
	}
	tg.Namespace = cmp.Or(tg.Namespace, session.Namespace)
	session = session.In(tg.Namespace)
	if err := a.chooseOutputs(cmd.Context(), session, tg, options.request.Outputs); err != nil {
		return err
	}
	if err := session.Create(cmd.Context(), tg); err != nil {
		return fmt.Errorf("creating the TaskGroup: %w", err)
	}
	if err := a.printCreated(options.format, tg); err != nil {
		return err
	}
	if options.follow {
		if err := a.followNew(cmd.Context(), session, tg); err != nil {
			return err
		}
	}
	if !options.wait && !options.follow {
		return nil
	}
	return a.wait(cmd.Context(), session, []client.ObjectKey{client.ObjectKeyFromObject(tg)}, &options.waiting)
}

func (a *app) printCreated(format output.Format, tg *v1alpha1.TaskGroup) error {
	if format != output.Table {
		return output.Print(a.Out, format, tg)
	}
	output.PrintName(a.Out, tg, "created")
	return nil
}

// requested returns the group of the flags or of the file.
func (a *app) requested(options *submitOptions) (*v1alpha1.TaskGroup, error) {
	r := &options.request
	if options.file == "" {
		return r.TaskGroup()
	}
	if len(r.Command)+len(r.Lines)+len(r.Python) > 0 {
		return nil, errors.New("--file has what to run: leave out the command, --task and --python")
	}
	raw, err := a.readFile(options.file)
	if err != nil {
		return nil, fmt.Errorf("reading --file: %w", err)
	}
	tg, err := submission.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("reading --file %s: %w", options.file, err)
	}
	if r.Name != "" {
		tg.Name, tg.GenerateName = r.Name, ""
	}
	return tg, nil
}

func (a *app) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.In)
	}
	return os.ReadFile(path)
}

// followNew shows what a new group prints until it has finished.
func (a *app) followNew(ctx context.Context, session *cluster.Session, tg *v1alpha1.TaskGroup) error {
	l := &logging{session: session, tg: tg, attempt: 1, writer: podlog.NewWriter(a.Out, a.palette), messages: a.Err}
	return l.follow(ctx)
}

// pairs is a flag that is repeated, each time as name=value: a value may have
// commas.
type pairs struct{ into *map[string]string }

// Set adds a pair.
func (p pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf("it is name=value, not %q", text)
	}
	if *p.into == nil {
		*p.into = map[string]string{}
	}
	(*p.into)[name] = value
	return nil
}

// String is empty: there is no default.
func (p pairs) String() string { return "" }

// Type is what --help shows.
func (p pairs) Type() string { return "name=value" }

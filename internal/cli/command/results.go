// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/asset"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/podvolume"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// shortDigest is how much of a digest a table shows, as git does.
const shortDigest = 12

// resultsOptions are the flags of results.
type resultsOptions struct {
	download string
	format   output.Format
	mounts   mountFlag
}

func (a *app) resultsCommand() *cobra.Command {
	options := resultsOptions{mounts: a.newMounts()}
	cmd := &cobra.Command{
		Use:   "results NAME",
		Short: "Show the results of a group: sizes, digests, times and memory, and download them",
		Long: `Show the committed record of a group, the manifest, and download what it names to
DIR/<nodeID>/{output,stdout,stderr,error}. The manifest is checked against the
digest in the group's status, and every download against the manifest.

The objects are read from here: s3://, gs://, azblob:// and https:// with this
machine's credentials, file:// where the volume is mounted here. --download reads
a volume that is not mounted here through a short-lived pod, which mounts it
read-only and is removed at the end, also on Ctrl-C.`,
		Example: a.text(`  {cmd} results my-group
  {cmd} results my-group --download ./out
  {cmd} results my-group --download ./out --mount /assets=/mnt/assets
  {cmd} results my-group -o json`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: one(a.completeNames(finishedGroup)),
		RunE: a.run(func(cmd *cobra.Command, names []string) error {
			if err := options.format.Check(output.Table, output.JSON, output.YAML); err != nil {
				return misused("%w", err)
			}
			session, err := a.session()
			if err != nil {
				return err
			}
			return a.results(cmd.Context(), session, names[0], &options)
		}),
	}
	cmd.Flags().StringVar(&options.download, "download", "", "folder to download everything to")
	options.mounts.bind(cmd)
	outputFlag(cmd, &options.format, output.JSON, output.YAML)
	return cmd
}

func (a *app) results(ctx context.Context, session *cluster.Session, name string, options *resultsOptions) error {
	tg, err := session.Get(ctx, name)
	if err != nil {
		return err
	}
	if options.download == "" {
		return a.resultsOf(ctx, options.mounts.mounts, tg, options)
	}
	volumes := &podvolume.Reader{Session: session, Group: tg, Progress: func(text string) { fmt.Fprintln(a.Err, text) }}
	err = a.resultsOf(ctx, &asset.Fallback{Mounts: options.mounts.mounts, Volumes: volumes}, tg, options)
	return errors.Join(err, volumes.Close(ctx))
}

// resultsOf shows the results of a group, and downloads them if that is requested.
func (a *app) resultsOf(ctx context.Context, reader asset.Reader, tg *v1alpha1.TaskGroup, options *resultsOptions) error {
	manifests, err := asset.Manifests(ctx, reader, tg)
	if err != nil && !errors.Is(err, asset.ErrNone) && len(manifests) == 0 {
		a.printStates(tg, options.format)
		return unreadable(err)
	}
	if errors.Is(err, asset.ErrNone) {
		return a.noResults(tg, options)
	}
	records := recordsOf(tg, manifests)
	if options.format != output.Table {
		if encodeErr := output.Encode(a.Out, options.format, records); encodeErr != nil {
			return encodeErr
		}
	} else {
		a.printRecords(records)
	}
	if err != nil {
		return unreadable(err)
	}
	return a.download(ctx, reader, tg, records, options)
}

// noResults is no error while a group runs, nor where it keeps nothing.
func (a *app) noResults(tg *v1alpha1.TaskGroup, options *resultsOptions) error {
	a.printStates(tg, options.format)
	what := "it has not finished: there is no manifest yet"
	if tg.Spec.Assets == nil || tg.Spec.Assets.Outputs == "" {
		what = "it keeps nothing but its log: it has no spec.assets.outputs"
	} else if tg.Status.IsFinished() {
		what = "it ended before a manifest was committed"
	}
	if options.download != "" {
		return &cluster.Problem{What: tg.Name + ": " + what, Next: a.text("see {cmd} describe " + tg.Name)}
	}
	fmt.Fprintf(a.Err, "%s: %s\n", tg.Name, what)
	return nil
}

// printStates shows what the status alone has.
func (a *app) printStates(tg *v1alpha1.TaskGroup, format output.Format) {
	if format != output.Table {
		return
	}
	out := table.Table{Palette: a.palette, Header: []string{"TASK", "STATE", "REASON"}}
	for i := range tg.Spec.Tasks {
		status := view.StatusOf(tg, tg.Spec.Tasks[i].NodeID)
		out.Add(table.Text(status.NodeID.String()), table.Text(string(status.State)), table.Text(string(status.Reason)))
	}
	out.Fprint(a.Out)
}

// recordsOf returns the records of all manifests, in the order of the tasks.
func recordsOf(tg *v1alpha1.TaskGroup, manifests []contract.Manifest) []contract.TaskRecord {
	position := map[contract.NodeID]int{}
	for i := range tg.Spec.Tasks {
		position[contract.NodeID(tg.Spec.Tasks[i].NodeID)] = i
	}
	records := []contract.TaskRecord{}
	for i := range manifests {
		records = append(records, manifests[i].Tasks...)
	}
	slices.SortStableFunc(records, func(a, b contract.TaskRecord) int { return position[a.NodeID] - position[b.NodeID] })
	return records
}

func (a *app) printRecords(records []contract.TaskRecord) {
	out := table.Table{Palette: a.palette, Header: []string{"TASK", "STATE", "OUTPUT", "STDOUT", "STDERR", "SHA256", "STARTED", "TIME", "PEAK MEMORY", "CPU", "MESSAGE"}}
	for i := range records {
		r := &records[i]
		row := []table.Cell{table.Text(r.NodeID.String()), table.Text(string(r.State))}
		for _, key := range []contract.AssetKey{contract.AssetOutput, contract.AssetStdout, contract.AssetStderr} {
			size := ""
			if asset, ok := r.Assets[key]; ok {
				size = view.Bytes(asset.Size)
			}
			row = append(row, table.Text(size))
		}
		digest := r.Assets[contract.AssetOutput].SHA256
		started, took, memory, cpu := "", "", "", ""
		if r.StartTime != nil {
			started = r.StartTime.UTC().Format(time.TimeOnly)
			if r.EndTime != nil {
				took = view.Span(r.EndTime.Sub(*r.StartTime))
			}
		}
		if r.PeakMemoryBytes > 0 {
			memory = view.Bytes(r.PeakMemoryBytes)
		}
		if r.CPUSeconds > 0 {
			cpu = strconv.FormatFloat(r.CPUSeconds, 'f', 2, 64) + "s"
		}
		out.Add(append(row, table.Text(digest[:min(len(digest), shortDigest)]), table.Text(started), table.Text(took), table.Text(memory), table.Text(cpu), table.Blank(r.Message))...)
	}
	out.Fprint(a.Out)
}

// download fetches all, and reports where it is.
func (a *app) download(ctx context.Context, reader asset.Reader, tg *v1alpha1.TaskGroup, records []contract.TaskRecord, options *resultsOptions) error {
	if options.download == "" {
		return nil
	}
	var errs []error
	for i := range records {
		paths, err := asset.Download(ctx, reader, tg, &records[i], options.download)
		for _, path := range paths {
			fmt.Fprintln(a.Err, "downloaded", path)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

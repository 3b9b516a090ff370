// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/progress"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/table"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// listOptions are the flags of list.
type listOptions struct {
	selector      selector
	allNamespaces bool
	states        []string
	format        output.Format
	fields        string
	sortBy        string
	noHeaders     bool
	watch         bool

	// printer is the printer of a format with an expression.
	printer output.Printer
	query   cluster.Query
}

// Validate names every flag that cannot work.
func (o *listOptions) Validate() error {
	for _, state := range o.states {
		if !view.IsState(state) {
			return misused("--state: %q is no state: use one of %s", state, strings.Join(view.States(), ", "))
		}
	}
	selected, err := fields.ParseSelector(o.fields)
	if err != nil {
		return misused("--field-selector: %w", err)
	}
	if o.fields != "" {
		o.query.Fields = selected
	}
	if o.printer, err = output.ParseTemplate(o.format); err != nil {
		return misused("%w", err)
	}
	if o.printer != nil {
		return nil
	}
	allowed := []output.Format{output.Table, output.Wide, output.JSON, output.YAML, output.Name}
	if err := o.format.Check(allowed...); err != nil {
		return misused("%w, jsonpath=, go-template=, custom-columns=", err)
	}
	return nil
}

// isTable reports whether the format is the table of the command.
func (o *listOptions) isTable() bool {
	return o.printer == nil && (o.format == output.Table || o.format == output.Wide)
}

// hides reports whether --state omits a group.
func (o *listOptions) hides(tg v1alpha1.TaskGroup) bool {
	return len(o.states) > 0 && !slices.ContainsFunc(o.states, func(state string) bool { return view.Is(&tg, state) })
}

func (a *app) listCommand() *cobra.Command {
	var options listOptions
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls", "get"},
		Short:   "List groups",
		Long: `List groups, as kubectl get tg does. A state is a stage (waiting, running,
completed, failed, cancelled), active, finished, or any word of the column STATUS.`,
		Example: a.text(`  {cmd} list
  {cmd} list -A --state failed -o wide
  {cmd} list -l team=a -o name
  {cmd} list -w
  {cmd} list --sort-by .status.startTime -o custom-columns=NAME:.metadata.name,NODE:.status.nodeName
  {cmd} list --field-selector spec.dispatchID=ID -o jsonpath='{.items[*].metadata.name}'
  {cmd} list -o json | jq -r '.items[].status.nodeName'`),
		Args: cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			return a.list(cmd, &options)
		}),
	}
	cmd.Flags().BoolVarP(&options.allNamespaces, "all-namespaces", "A", false, "groups of all namespaces")
	cmd.Flags().StringSliceVar(&options.states, "state", nil, "only groups in one of these states (repeatable, or with commas)")
	_ = cmd.RegisterFlagCompletionFunc("state", completeFrom(view.States()...))
	options.selector.bind(cmd)
	cmd.Flags().StringVar(&options.fields, "field-selector", "", "only groups with these fields: metadata.name, metadata.namespace, spec.dispatchID")
	cmd.Flags().StringVar(&options.sortBy, "sort-by", "", "field to sort by, such as .metadata.creationTimestamp; namespace and name by default")
	cmd.Flags().BoolVar(&options.noHeaders, "no-headers", false, "without the line of the names of the columns")
	cmd.Flags().BoolVarP(&options.watch, "watch", "w", false, "after the list, print each group that changes, until Ctrl-C")
	_ = cmd.RegisterFlagCompletionFunc("field-selector", completeFrom("metadata.name=", "metadata.namespace=", "spec.dispatchID="))
	_ = cmd.RegisterFlagCompletionFunc("sort-by", completeFrom(".metadata.creationTimestamp", ".metadata.name", ".status.startTime", ".status.completionTime", ".status.attempt"))
	outputFlag(cmd, &options.format, output.Wide, output.JSON, output.YAML, output.Name, output.JSONPath+"=", output.GoTemplate+"=", output.CustomColumns+"=")
	return cmd
}

func (a *app) list(cmd *cobra.Command, options *listOptions) error {
	if err := options.Validate(); err != nil {
		return err
	}
	session, err := a.session()
	if err != nil {
		return err
	}
	options.query.Namespace, options.query.Selector = session.Namespace, options.selector.labels
	if options.allNamespaces {
		options.query.Namespace = ""
	}
	printed := table.Table{Palette: a.palette, NoHeader: options.noHeaders}
	if options.watch {
		return a.watchList(cmd.Context(), session, options, &printed)
	}
	list, err := session.Read(cmd.Context(), options.query)
	if err != nil {
		return err
	}
	groups := slices.DeleteFunc(list.Items, options.hides)
	if len(groups) == 0 && options.isTable() {
		a.sayNone(options.query.Namespace, options)
		return nil
	}
	return a.printList(groups, options, &printed)
}

// printList prints groups in the format of the options.
func (a *app) printList(groups []v1alpha1.TaskGroup, options *listOptions, printed *table.Table) error {
	if options.sortBy != "" {
		if err := sortGroups(groups, options.sortBy); err != nil {
			return err
		}
	}
	switch {
	case options.printer != nil:
		if err := options.printer(a.Out, groups, !printed.NoHeader); err != nil {
			return fmt.Errorf("printing the list: %w", err)
		}
		return nil
	case !options.isTable():
		return output.PrintList(a.Out, options.format, groups)
	}
	a.printGroups(groups, options.allNamespaces, options.format == output.Wide, printed)
	return nil
}

// watchList prints all groups, then each that changed, until ctx is cancelled.
func (a *app) watchList(ctx context.Context, session *cluster.Session, options *listOptions, printed *table.Table) error {
	seen := map[types.UID]string{}
	var failed error
	err := session.Follow(ctx, options.query, func(groups []v1alpha1.TaskGroup) bool {
		groups = slices.DeleteFunc(groups, func(tg v1alpha1.TaskGroup) bool {
			same := seen[tg.UID] == tg.ResourceVersion
			seen[tg.UID] = tg.ResourceVersion
			return same || options.hides(tg)
		})
		if len(groups) > 0 {
			failed = a.printList(groups, options, printed)
			printed.NoHeader = true
		}
		return failed != nil
	})
	if ctx.Err() != nil {
		return interrupted()
	}
	return joined(failed, err)
}

// sayNone is for people; programs read an empty standard output.
func (a *app) sayNone(namespace string, options *listOptions) {
	where := "in the namespace " + namespace
	if namespace == "" {
		where = "in any namespace"
	}
	what := "no TaskGroups"
	if len(options.states) > 0 || options.selector.labels != nil {
		what = "no such TaskGroups"
	}
	fmt.Fprintf(a.Err, "%s %s; %s\n", what, where, a.text("{cmd} submit --help tells how to run one"))
}

// printGroups has the columns of `kubectl get tg`.
func (a *app) printGroups(groups []v1alpha1.TaskGroup, namespaces, wide bool, out *table.Table) {
	out.Header, out.Rows = nil, nil
	if namespaces {
		out.Header = append(out.Header, "NAMESPACE")
	}
	out.Header = append(out.Header, "NAME", "STATUS", "DONE", "ATTEMPT")
	if wide {
		out.Header = append(out.Header, "MESSAGE", "QUEUE", "DISPATCH", "NODE")
	}
	out.Header = append(out.Header, "AGE")
	now := a.Clock.Now()
	for i := range groups {
		tg := &groups[i]
		var row []table.Cell
		if namespaces {
			row = append(row, table.Text(tg.Namespace))
		}
		attempt := ""
		if tg.Status.Attempt > 0 {
			attempt = strconv.Itoa(int(tg.Status.Attempt))
		}
		row = append(row, table.Text(tg.Name),
			table.Cell{Text: string(tg.Status.Reason()), Colour: progress.Colours[view.StageOf(tg)]},
			table.Blank(tg.Status.Summary), table.Blank(attempt))
		if wide {
			row = append(row, table.Blank(tg.Status.Message()), table.Blank(tg.Labels[v1alpha1.QueueLabel]),
				table.Blank(tg.Spec.DispatchID), table.Blank(tg.Status.NodeName))
		}
		out.Add(append(row, table.Text(view.Age(view.CreatedAt(tg), now)))...)
	}
	out.Fprint(a.Out)
}

// selector is --selector, and what stands for labels that are long to write.
type selector struct {
	labels labels.Selector
	given  labels.Requirements
}

func (s *selector) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.VarP(s, "selector", "l", "only groups with these labels, such as team=a,stage!=test")
	flags.Func("dispatch", "only groups of this dispatch of Covalent's", func(id string) error {
		return s.only(v1alpha1.DispatchLabel, executor.DispatchLabel(id))
	})
	flags.Func("dispatcher", "only groups of the dispatcher that calls itself so", func(name string) error {
		return s.only(v1alpha1.DispatcherLabel, name)
	})
}

// Set parses a selector.
func (s *selector) Set(text string) error {
	parsed, err := labels.ParseToRequirements(text)
	if err != nil {
		return fmt.Errorf("reading the selector: %w", err)
	}
	s.add(parsed...)
	return nil
}

func (s *selector) only(label, value string) error {
	requirement, err := labels.NewRequirement(label, selection.Equals, []string{value})
	if err != nil {
		return fmt.Errorf("reading a label: %w", err)
	}
	s.add(*requirement)
	return nil
}

// add appends one requirement to the selector.
func (s *selector) add(more ...labels.Requirement) {
	s.given = append(s.given, more...)
	s.labels = labels.NewSelector().Add(s.given...)
}

// String is the selector as it was given.
func (s *selector) String() string {
	if s.labels == nil {
		return ""
	}
	return s.labels.String()
}

// Type is what --help shows.
func (s *selector) Type() string { return "labels" }

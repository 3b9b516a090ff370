package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
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
}

// Validate names every flag that cannot work.
func (o *listOptions) Validate() error {
	for _, state := range o.states {
		if !view.IsState(state) {
			return misused("--state: %q is no state: use one of %s", state, strings.Join(view.States(), ", "))
		}
	}
	if err := o.format.Check(output.Table, output.Wide, output.JSON, output.YAML, output.Name); err != nil {
		return misused("%w", err)
	}
	return nil
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
	outputFlag(cmd, &options.format, output.Wide, output.JSON, output.YAML, output.Name)
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
	namespace := session.Namespace
	if options.allNamespaces {
		namespace = ""
	}
	list, err := session.List(cmd.Context(), namespace, options.selector.labels)
	if err != nil {
		return err
	}
	groups := slices.DeleteFunc(list.Items, func(tg v1alpha1.TaskGroup) bool {
		return len(options.states) > 0 && !slices.ContainsFunc(options.states, func(state string) bool { return view.Is(&tg, state) })
	})
	if options.format != output.Table && options.format != output.Wide {
		return output.PrintList(a.Out, options.format, groups)
	}
	if len(groups) == 0 {
		a.sayNone(namespace, options)
		return nil
	}
	a.printGroups(groups, options.allNamespaces, options.format == output.Wide)
	return nil
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
func (a *app) printGroups(groups []v1alpha1.TaskGroup, namespaces, wide bool) {
	out := table.Table{Palette: a.palette}
	if namespaces {
		out.Header = append(out.Header, "NAMESPACE")
	}
	out.Header = append(out.Header, "NAME", "STATUS", "DONE", "ATTEMPT")
	if wide {
		out.Header = append(out.Header, "MESSAGE", "DISPATCH", "NODE")
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
			row = append(row, table.Blank(tg.Status.Message()), table.Blank(tg.Spec.DispatchID), table.Blank(tg.Status.NodeName))
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

// add makes the selector say one thing more.
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

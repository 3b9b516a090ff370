// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
)

// targets are the flags that select groups for a command that also takes names.
type targets struct {
	selector      selector
	all           bool
	allNamespaces bool
}

// bind adds the flags; all describes --all.
func (t *targets) bind(cmd *cobra.Command, all string) {
	t.selector.bind(cmd)
	cmd.Flags().BoolVar(&t.all, "all", false, all)
	cmd.Flags().BoolVarP(&t.allNamespaces, "all-namespaces", "A", false, "with -l, --dispatch, --dispatcher or --all: groups of all namespaces")
}

// Validate requires exactly one of names, a selector, and --all.
func (t *targets) Validate(names []string) error {
	given := 0
	for _, is := range []bool{len(names) > 0, t.selector.labels != nil, t.all} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return misused("say which groups: by their names, by labels with -l, or with --all")
	case t.allNamespaces && len(names) > 0:
		return misused("a name is that of a group in one namespace: replace -A by -n NAMESPACE, or the names by -l or --all")
	}
	return nil
}

// namespace returns the namespace to list; empty for all.
func (t *targets) namespace(session *cluster.Session) string {
	if t.allNamespaces {
		return ""
	}
	return session.Namespace
}

// where names the namespaces for a message.
func (t *targets) where(session *cluster.Session) string { return whereIs(t.namespace(session)) }

func whereIs(namespace string) string {
	if namespace == "" {
		return "in any namespace"
	}
	return "in the namespace " + namespace
}

// read returns the selected groups. A name that cannot be read is an error beside the
// groups of the other names.
func (t *targets) read(ctx context.Context, session *cluster.Session, names []string) ([]v1alpha1.TaskGroup, error) {
	if len(names) == 0 {
		list, err := session.List(ctx, t.namespace(session), t.selector.labels)
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
	groups := make([]v1alpha1.TaskGroup, 0, len(names))
	var errs failures
	for _, name := range names {
		if slices.ContainsFunc(groups, func(tg v1alpha1.TaskGroup) bool { return tg.Name == name }) {
			continue
		}
		tg, err := session.Get(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		groups = append(groups, *tg)
	}
	return groups, joined(errs...)
}

// none is the error of a selection without groups.
func (t *targets) none(session *cluster.Session) error {
	return fmt.Errorf("there are no such groups %s", t.where(session))
}

// keysOf returns the keys of names in a namespace.
func keysOf(namespace string, names []string) []client.ObjectKey {
	keys := make([]client.ObjectKey, 0, len(names))
	for _, name := range names {
		keys = append(keys, client.ObjectKey{Namespace: namespace, Name: name})
	}
	return keys
}

// commonNamespace returns the namespace of all keys; empty if they are in several.
func commonNamespace(keys []client.ObjectKey) string {
	for _, key := range keys {
		if key.Namespace != keys[0].Namespace {
			return ""
		}
	}
	return keys[0].Namespace
}

func compareKeys(a, b client.ObjectKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// SPDX-License-Identifier: Apache-2.0

package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Format is how an object is printed.
type Format string

// The formats; Table and Wide are for people.
const (
	Table Format = ""
	Wide  Format = "wide"
	JSON  Format = "json"
	YAML  Format = "yaml"
	Name  Format = "name"
)

// Check refuses a format that is not among those that a command has.
func (f Format) Check(allowed ...Format) error {
	if slices.Contains(allowed, f) {
		return nil
	}
	var names []string
	for _, format := range allowed {
		if format != Table {
			names = append(names, string(format))
		}
	}
	return fmt.Errorf("--output is one of %s, not %q", strings.Join(names, ", "), f)
}

// PrintList prints a list in the form of the API, whatever the number of items.
func PrintList(w io.Writer, format Format, groups []v1alpha1.TaskGroup) error {
	if format == Name {
		for i := range groups {
			PrintName(w, &groups[i], "")
		}
		return nil
	}
	list := v1alpha1.TaskGroupList{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroupList"},
		Items:    make([]v1alpha1.TaskGroup, 0, len(groups)),
	}
	for i := range groups {
		list.Items = append(list.Items, *presentable(&groups[i]))
	}
	return Encode(w, format, &list)
}

// Print prints one group.
func Print(w io.Writer, format Format, tg *v1alpha1.TaskGroup) error {
	if format == Name {
		PrintName(w, tg, "")
		return nil
	}
	return Encode(w, format, presentable(tg))
}

// PrintName prints a group's name as kubectl does, and what was done with it.
func PrintName(w io.Writer, tg *v1alpha1.TaskGroup, done string) {
	name := "taskgroup." + v1alpha1.GroupName + "/" + tg.Name
	if done != "" {
		name += " " + done
	}
	fmt.Fprintln(w, name)
}

// presentable is a copy with its kind, which lists leave out, and without what
// kubectl hides too.
func presentable(tg *v1alpha1.TaskGroup) *v1alpha1.TaskGroup {
	tg = tg.DeepCopy()
	tg.APIVersion, tg.Kind = v1alpha1.GroupVersion.String(), "TaskGroup"
	tg.ManagedFields = nil
	return tg
}

// Encode prints any value as JSON or YAML, keys in the order of the API.
func Encode(w io.Writer, format Format, value any) error {
	var raw []byte
	var err error
	if format == YAML {
		raw, err = yaml.Marshal(value)
	} else {
		raw, err = json.MarshalIndent(value, "", "  ")
		raw = append(raw, '\n')
	}
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	if _, err := w.Write(raw); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// PrintNew prints an object as a user would write it, to be applied: without
// what only the API server fills in.
func PrintNew(w io.Writer, format Format, tg *v1alpha1.TaskGroup) error {
	if format == Name {
		PrintName(w, tg, "")
		return nil
	}
	raw, err := json.Marshal(presentable(tg))
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	var value map[string]any
	if err := json.Unmarshal(raw, &value); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	delete(value, "status")
	if metadata, ok := value["metadata"].(map[string]any); ok && metadata["creationTimestamp"] == nil {
		delete(metadata, "creationTimestamp")
	}
	return Encode(w, format, value)
}

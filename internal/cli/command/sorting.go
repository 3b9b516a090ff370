// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/output"
)

// sortGroups sorts groups by the field of --sort-by. Groups without the field are first,
// as in kubectl; equal groups keep their order.
func sortGroups(groups []v1alpha1.TaskGroup, expression string) error {
	path, err := output.Path(expression)
	if err != nil {
		return misused("--sort-by: %w", err)
	}
	type keyed struct {
		key   any
		group v1alpha1.TaskGroup
	}
	rows := make([]keyed, 0, len(groups))
	for i := range groups {
		object, err := output.Object(&groups[i])
		if err != nil {
			return err
		}
		found, err := path.FindResults(object)
		if err != nil {
			return misused("--sort-by: %w", err)
		}
		row := keyed{group: groups[i]}
		if len(found) > 0 && len(found[0]) > 0 {
			row.key = found[0][0].Interface()
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b keyed) int { return compareFields(a.key, b.key) })
	for i := range rows {
		groups[i] = rows[i].group
	}
	return nil
}

// compareFields compares numbers, amounts of resources, and everything else as text,
// which is right for times in RFC 3339.
func compareFields(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(boolInt(a != nil), boolInt(b != nil))
	}
	left, leftOK := a.(float64)
	right, rightOK := b.(float64)
	if leftOK && rightOK {
		return cmp.Compare(left, right)
	}
	first, second := fmt.Sprint(a), fmt.Sprint(b)
	one, err := resource.ParseQuantity(first)
	other, otherErr := resource.ParseQuantity(second)
	if err == nil && otherErr == nil {
		return one.Cmp(other)
	}
	return cmp.Compare(first, second)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

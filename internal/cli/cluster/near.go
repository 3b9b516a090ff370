// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// nearest is the name that the user most likely meant; empty where none is like
// what was typed.
func nearest(typed string, groups []v1alpha1.TaskGroup) string {
	best, distance := "", max(len(typed)/3, 1)+1
	for i := range groups {
		name := groups[i].Name
		d := edits(typed, name)
		if len(typed) >= 3 && strings.HasPrefix(name, typed) {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits is the number of letters to insert, delete or replace between two names
// (Levenshtein's distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

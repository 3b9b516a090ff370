// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// kind is one of the two kinds of group. Unless a test concerns one of them, it runs
// for both.
type kind v1alpha1.Execution

var kinds = []kind{kind(v1alpha1.Sequential), kind(v1alpha1.Parallel)}

// forBothKinds runs a test for each kind of group, at the same time.
func forBothKinds(t *testing.T, test func(*testing.T, kind)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// commands returns a group of n plain commands, as commands does.
func (k kind) commands(namespace, name string, n int) *v1alpha1.TaskGroup {
	tg := commands(namespace, name, n)
	tg.Spec.Execution = v1alpha1.Execution(k)
	return tg
}

// name makes a name of a group unique in a namespace that both kinds share.
func (k kind) name(prefix string) string { return prefix + "-" + strings.ToLower(string(k)) }

// records is the number of tasks in the termination message of a pod, for a group of
// n tasks.
func (k kind) records(n int) int {
	if k == kind(v1alpha1.Parallel) {
		return 1
	}
	return n
}

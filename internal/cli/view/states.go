// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// States are the values that Is accepts: "active", "finished", the stages and the
// reasons.
func States() []string {
	states := []string{"active", "finished"}
	for _, stage := range Stages {
		states = append(states, string(stage))
	}
	for _, reason := range v1alpha1.Reasons() {
		if !slices.Contains(states, string(reason)) {
			states = append(states, string(reason))
		}
	}
	return states
}

// IsState reports whether a word is one of States, in any case.
func IsState(word string) bool {
	return slices.ContainsFunc(States(), func(s string) bool { return strings.EqualFold(s, word) })
}

// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestTaskStates(t *testing.T) {
	tests := map[contract.TaskState]struct {
		letter   byte
		terminal bool
	}{
		contract.TaskPending:   {'P', false},
		contract.TaskRunning:   {'R', false},
		contract.TaskCompleted: {'C', true},
		contract.TaskFailed:    {'F', true},
		contract.TaskCancelled: {'X', true},
		"":                     {'P', false},
	}
	for state, want := range tests {
		if state.Letter() != want.letter || state.IsTerminal() != want.terminal {
			t.Errorf("%q: letter %c, terminal %t", state, state.Letter(), state.IsTerminal())
		}
	}
}

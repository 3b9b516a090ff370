// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestReasonsOfTheRunner checks that every reason of the runner is one of the API's,
// except the one that never becomes the reason of a group.
func TestReasonsOfTheRunner(t *testing.T) {
	source, err := os.ReadFile("../../contract/task.go")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`(?m)^\tReason\w+ Reason = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(reasons) < 10 {
		t.Fatalf("found only %d reasons", len(reasons))
	}
	for _, match := range reasons {
		reason := v1alpha1.Reason(match[1])
		if !reason.IsKnown() && contract.Reason(reason) != contract.ReasonNotStarted {
			t.Errorf("the runner reports %s, which is none of the API's reasons", reason)
		}
	}
}

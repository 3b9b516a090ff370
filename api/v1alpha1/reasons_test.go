// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestReasonTable checks that the table has each reason of the source file once,
// and that its columns do not contradict each other.
func TestReasonTable(t *testing.T) {
	source, err := os.ReadFile("reasons.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []Reason
	for _, match := range regexp.MustCompile(`(?m)^\tReason\w+ Reason = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, Reason(match[1]))
	}
	listed := Reasons()
	slices.Sort(declared)
	slices.Sort(listed)
	if !slices.Equal(declared, listed) {
		t.Errorf("the table lists %q, the file declares %q", listed, declared)
	}
	for _, reason := range listed {
		info := reason.Info()
		if (info.Source != "" || info.Retryable) && !info.Terminal {
			t.Errorf("%s is a failure and not terminal", reason)
		}
		if info.Retryable && info.Source == SourcePlatform {
			t.Errorf("%s is retryable and no budget belongs to it", reason)
		}
	}
	if made := Reason("MadeUp"); made.IsKnown() || !made.IsFailure() || made.Info().Source != SourceUser {
		t.Errorf("a reason that a container made up is %+v", made.Info())
	}
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import "testing"

func TestOOMMemory(t *testing.T) {
	requireCreate(t, map[string]createCase{
		"a factor with a budget":      {`{retries: {limit: 1, oomMemoryFactor: "2", oomMemoryMax: 64Gi}}`, ""},
		"a factor without a budget":   {`{retries: {oomMemoryFactor: "2"}}`, "spec.retries.oomMemoryFactor: Invalid value: needs spec.retries.limit of at least 1"},
		"a factor with no budget":     {`{retries: {limit: 0, oomMemoryFactor: "2"}}`, "needs spec.retries.limit of at least 1"},
		"a maximum without a factor":  {`{retries: {limit: 1, oomMemoryMax: 64Gi}}`, "spec.retries.oomMemoryMax: Invalid value: needs spec.retries.oomMemoryFactor"},
		"a negative maximum":          {`{retries: {limit: 1, oomMemoryFactor: "2", oomMemoryMax: "-1Gi"}}`, "spec.retries.oomMemoryMax in body should match"},
		"a maximum that is no amount": {`{retries: {limit: 1, oomMemoryFactor: "2", oomMemoryMax: much}}`, "spec.retries.oomMemoryMax in body should match"},
	})
}

// TestFactorOfEarlierVersionsStaysValid writes the status of a group that was created
// before the factor required a budget.
func TestFactorOfEarlierVersionsStaysValid(t *testing.T) {
	v := newValidators(t)
	old := groupOf(t, v, `{retries: {oomMemoryFactor: "2"}}`)
	written := withStatus(t, old, 1)
	v.setDefaults(written)
	requireNone(t, v.writeStatus(t, written, old))
}

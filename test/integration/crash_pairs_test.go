// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"math/rand/v2"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// pairedFaults are all lives of a scenario in which two calls fail: any call, and
// after it any that follows, the one retried included. A call that was done
// before it failed need not be retried, so it leaves one call less to fail.
func pairedFaults(s *scenario) []crashCase {
	var cases []crashCase
	for first := 1; first <= s.calls; first++ {
		for _, a := range rig.Faults {
			calls := s.calls + 1
			if a.Done() {
				calls = s.calls
			}
			for second := first + 1; second <= calls; second++ {
				for _, b := range rig.Faults {
					cases = append(cases, crashCase{scenario: s, points: []crashPoint{{first, a}, {second, b}}})
				}
			}
		}
	}
	return cases
}

// onePlaceEach takes one case of each pair of faults, in order of the faults.
func onePlaceEach(r *rand.Rand, pairs []crashCase) []crashCase {
	var sample []crashCase
	for _, a := range rig.Faults {
		for _, b := range rig.Faults {
			var places []crashCase
			for _, c := range pairs {
				if c.points[0].fault == a && c.points[1].fault == b {
					places = append(places, c)
				}
			}
			sample = append(sample, places[r.IntN(len(places))])
		}
	}
	return sample
}

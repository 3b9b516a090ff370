// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

func TestActiveDeadline(t *testing.T) {
	cases := map[string]struct {
		timeouts *v1alpha1.Timeouts
		want     *int64
	}{
		"without timeouts":       {nil, nil},
		"without runningSeconds": {&v1alpha1.Timeouts{StartingSeconds: new(int64(60))}, nil},
		"with both":              {&v1alpha1.Timeouts{RunningSeconds: new(int64(100)), StartingSeconds: new(int64(60))}, new(int64(190))},
		"leaves an hour for starting by default": {
			&v1alpha1.Timeouts{RunningSeconds: new(int64(100))}, new(int64(3730)),
		},
		"does not exceed what a pod may have": {
			&v1alpha1.Timeouts{RunningSeconds: new(int64(31536000)), StartingSeconds: new(int64(math.MaxInt32))}, new(int64(math.MaxInt32)),
		},
		"does not overflow": {
			&v1alpha1.Timeouts{RunningSeconds: new(int64(3600)), StartingSeconds: new(int64(math.MaxInt64))}, new(int64(math.MaxInt32)),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, activeDeadline(tc.timeouts, 30)); diff != "" {
				t.Errorf("activeDeadlineSeconds (-want +got):\n%s", diff)
			}
		})
	}
}

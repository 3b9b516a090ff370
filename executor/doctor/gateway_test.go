// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
)

// TestClustersWithoutAGateway: a dispatcher without assets fails, and the command line does
// not need any.
func TestClustersWithoutAGateway(t *testing.T) {
	for name, tc := range map[string]struct {
		err             error
		dispatcher, cli Status
	}{
		"no gateway":    {fmt.Errorf("%w: no Service", gateway.ErrNone), Skipped, Skipped},
		"not permitted": {fmt.Errorf("%w: no role", gateway.ErrForbidden), Failed, Skipped},
		"unavailable":   {errors.New("no endpoints"), Failed, Warning},
	} {
		for isDispatcher, want := range map[bool]Status{true: tc.dispatcher, false: tc.cli} {
			d := &doctor{Config: Config{Dispatcher: isDispatcher}}
			if got := d.withoutGateway(tc.err); got.Status != want || got.Next == "" {
				t.Errorf("%s, dispatcher %t: %+v, want %s", name, isDispatcher, got, want)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestRedraw draws once for each tick, and not after its end.
func TestRedraw(t *testing.T) {
	clock := testingclock.NewFakeClock(testkit.Now)
	a := &app{Config: Config{Clock: clock}}
	ctx, stop := context.WithCancel(t.Context())
	drawn := make(chan struct{})
	var drawings atomic.Int32
	wait := a.redraw(ctx, func() {
		drawings.Add(1)
		drawn <- struct{}{}
	})
	clock.Step(redrawEvery - time.Millisecond)
	for range 3 {
		clock.Step(redrawEvery)
		<-drawn
	}
	stop()
	wait()
	clock.Step(time.Hour)
	if got := drawings.Load(); got != 3 {
		t.Errorf("%d drawings for 3 ticks", got)
	}
}

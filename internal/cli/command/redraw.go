// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"sync"
	"time"
)

// redrawEvery is how often times on a terminal continue.
const redrawEvery = 250 * time.Millisecond

// redraw draws again and again until ctx ends, so that the times on a terminal continue
// while nothing changes. What it returns waits for the last drawing.
func (a *app) redraw(ctx context.Context, draw func()) (wait func()) {
	var wg sync.WaitGroup
	ticker := a.Clock.NewTicker(redrawEvery)
	wg.Go(func() {
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C():
				draw()
			}
		}
	})
	return wg.Wait
}

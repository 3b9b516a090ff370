// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// Screen draws frames over one another.
type Screen struct {
	w io.Writer
	// drawn is how many lines the last frame has.
	drawn int
}

// NewScreen draws on a terminal, from where its cursor is.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Draw replaces the last frame. It is one write, so that nothing flickers.
func (s *Screen) Draw(frame []string) {
	var text strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", s.drawn)
	}
	text.WriteByte('\r')
	for _, line := range frame {
		// Each line is cleared to its end after it is written, the rest below the last.
		text.WriteString(line + "\x1b[K\n")
	}
	text.WriteString("\x1b[J")
	s.drawn = len(frame)
	_, _ = io.WriteString(s.w, text.String())
}

// Reporter prints groups as they change.
type Reporter struct {
	w       io.Writer
	clock   clock.PassiveClock
	palette terminal.Palette

	mu     sync.Mutex
	groups []v1alpha1.TaskGroup
	// screen is nil where there is no terminal.
	screen *Screen
	// printed is the last line of each group.
	printed map[types.UID]string
}

// NewReporter reports to w in the way that suits it.
func NewReporter(w io.Writer, clock clock.PassiveClock) *Reporter {
	r := &Reporter{w: w, clock: clock, palette: terminal.PaletteOf(w), printed: map[types.UID]string{}}
	if terminal.Is(w) {
		r.screen = NewScreen(w)
	}
	return r
}

// Live reports whether Redraw does anything.
func (r *Reporter) Live() bool { return r.screen != nil }

// Show prints the current state of the groups.
func (r *Reporter) Show(groups []v1alpha1.TaskGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups = groups
	if r.screen != nil {
		r.draw()
		return
	}
	for i := range groups {
		tg := &groups[i]
		done, _ := view.Done(tg)
		now := fmt.Sprint(tg.Status.Reason(), done, tg.Status.IsFinished())
		if r.printed[tg.UID] != now {
			r.printed[tg.UID] = now
			fmt.Fprintln(r.w, Line(tg))
		}
	}
}

// Redraw shows the same groups a little later.
func (r *Reporter) Redraw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.screen != nil {
		r.draw()
	}
}

func (r *Reporter) draw() {
	r.screen.Draw(Frame(r.groups, r.clock.Now(), terminal.SizeOf(r.w), r.palette))
}

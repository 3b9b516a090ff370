// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Reporter writes a line for each finished step. Steps may run side by side.
type Reporter struct {
	mu  sync.Mutex
	out io.Writer
}

// New returns a Reporter that writes to out.
func New(out io.Writer) *Reporter { return &Reporter{out: out} }

// Line writes one line that is not a step.
func (r *Reporter) Line(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format+"\n", args...)
}

// Step runs do and reports how long it took, also when it fails.
func (r *Reporter) Step(what string, do func() error) error {
	start := time.Now()
	err := do()
	outcome := "done"
	if err != nil {
		outcome = "FAILED"
	}
	r.Line("  %-44s %-6s %6.1fs", what, outcome, time.Since(start).Seconds())
	return err
}

// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options are the facts that a history does not have.
type Options struct {
	// Operator is the operator's name in the audit log.
	Operator string
	// OrphanBound is how long a Job may outlive its group; 60 s by default.
	OrphanBound time.Duration
	// LivenessBound is how long it may take until something is reported; 60 s by default.
	LivenessBound time.Duration
	// RestFrom and RestTo bound a time in which every group was at rest; zero for
	// none.
	RestFrom, RestTo time.Time
}

const defaultBound = 60 * time.Second

// Violation is one breach of one invariant.
type Violation struct {
	Invariant string
	// Group is namespace/name (UID).
	Group string
	// Before and After are the two revisions that prove it: what was so at Before
	// forbids what is so at After.
	Before, After int64
	Message       string
}

// String is one line of a report.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: revisions %d and %d: %s", v.Invariant, v.Group, v.Before, v.After, v.Message)
}

// checkers check one invariant each.
var checkers = []struct {
	invariant string
	check     func(*index) []Violation
}{
	{"I1", oneJobPerAttempt},
	{"I2", attemptOrder},
	{"I3", oneLivePod},
	{"I4", noStartAfterCancel},
	{"I5", cancelledIsQuiet},
	{"I6", terminalLatch},
	{"I7", oneVerdict},
	{"I8", resultExists},
	{"I9", completedIsComplete},
	{"I11", provenance},
	{"I12", rebirth},
	{"I13", noOrphans},
	{"I14", deletionTerminates},
	{"I15", ownOnly},
	{"I16", specImmutable},
	{"I17", monotonic},
	{"I18", fixedPoint},
	{"I20", movesOn},
	{"I22", retryBudget},
	{"I22", taskBudgets},
	{"I23", deadlineDelegated},
	{"I24", oneClock},
	{"I25", noLostResult},
	{"I40", waitingIsFree},
}

// Check checks every invariant of a history. Violations come in the order of the
// invariants, then of the revisions.
func Check(h *History, opts Options) []Violation {
	opts.OrphanBound = cmp.Or(opts.OrphanBound, defaultBound)
	opts.LivenessBound = cmp.Or(opts.LivenessBound, defaultBound)
	ix := newIndex(h, opts)
	var all []Violation
	for _, c := range checkers {
		found := c.check(ix)
		for i := range found {
			found[i].Invariant = c.invariant
		}
		slices.SortStableFunc(found, func(a, b Violation) int { return cmp.Compare(a.After, b.After) })
		all = append(all, found...)
	}
	return all
}

// Report is violations for a user to read: one paragraph for each, with what
// the history has of the group around the two revisions.
func Report(h *History, violations []Violation) string {
	var b strings.Builder
	for _, v := range violations {
		fmt.Fprintf(&b, "%s\n", v)
		for _, line := range excerpt(h, v) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.String()
}

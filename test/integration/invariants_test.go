// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// settling is how long the groups of a finished suite may take to end or go.
	settling = 8 * time.Second
	// rest is how long the operator must then write nothing (invariant I18).
	rest = 1500 * time.Millisecond
)

// recorder keeps what becomes of all TaskGroups, Jobs and pods of the suite.
var recorder *invariants.Recorder

func record(ctx context.Context) (err error) {
	recorder, err = invariants.Record(ctx, cluster.Client)
	return err
}

// checked is the suite's exit code: that of its tests, or 1 where what they made
// of the cluster breaks an invariant that none of them looked at.
func checked(code int) int {
	defer recorder.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := settle(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the suite's groups do not settle (invariant I20):", err)
		code = max(code, 1)
	}
	var opts invariants.Options
	if outage, err := outageDuration(); err == nil && outage > defaultOutage {
		// No status can change during the outage.
		opts.LivenessBound = outage + time.Minute
	}
	if err == nil {
		opts.RestFrom = time.Now()
		<-time.After(rest)
		opts.RestTo = time.Now()
	}
	history, err := historyOf(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	if violations := check(history, opts); len(violations) > 0 {
		fmt.Fprintf(os.Stderr, "%d breaches of invariants over the whole suite:\n%s", len(violations), invariants.Report(history, violations))
		return max(code, 1)
	}
	if panics := logLines(cluster.Dir, "panic"); len(panics) > 0 {
		fmt.Fprintf(os.Stderr, "the operator panicked (invariant I21):\n%s\n", strings.Join(panics, "\n"))
		return max(code, 1)
	}
	return code
}

// logLines are the lines of the operators' log that have a word in them.
func logLines(dir, word string) []string {
	log, err := os.ReadFile(filepath.Join(dir, "operator.log"))
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, word) {
			lines = append(lines, line)
		}
	}
	return lines
}

// settle deletes the groups that tests left, since their namespaces take seconds
// to go, and waits until nothing is under way.
func settle(ctx context.Context) error {
	var groups v1alpha1.TaskGroupList
	if err := cluster.Client.List(ctx, &groups); err != nil {
		return fmt.Errorf("listing what the tests left: %w", err)
	}
	for i := range groups.Items {
		if err := cluster.Client.Delete(ctx, &groups.Items[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting what the tests left: %w", err)
		}
	}
	within, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	return awaitSettled(within)
}

// check checks all invariants of a history.
func check(history *invariants.History, opts invariants.Options) []invariants.Violation {
	opts.Operator = rig.OperatorUser
	return invariants.Check(history, opts)
}

// historyOf is all that was recorded, some namespaces of it if any are named.
func historyOf(ctx context.Context, namespaces ...string) (*invariants.History, error) {
	if err := recorder.Sync(ctx); err != nil {
		return nil, err
	}
	history, err := recorder.History()
	if err != nil {
		return nil, err
	}
	requests, err := cluster.Requests()
	if err != nil {
		return nil, err
	}
	history.Requests = audit.ByArrival(requests)
	return history.In(namespaces...), nil
}

// awaitSettled waits until every group has finished or no longer exists, and with those that
// no longer exist their Jobs (invariants I13, I20).
func awaitSettled(ctx context.Context, namespaces ...string) error {
	var unsettled []string
	err := rig.Await(ctx, "all groups to end or go", func(ctx context.Context) (bool, string, error) {
		if err := recorder.Sync(ctx); err != nil {
			return false, "", err
		}
		history, err := recorder.History()
		if err != nil {
			return false, "", err
		}
		unsettled = history.In(namespaces...).Unsettled()
		return len(unsettled) == 0, "", nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(unsettled, "\n"))
	}
	return nil
}

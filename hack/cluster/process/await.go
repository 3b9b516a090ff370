// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// pollInterval is short, for what is waited for takes a second or so.
const pollInterval = 50 * time.Millisecond

// Failure reports which component kept a cluster from coming up.
type Failure struct {
	Component, Log string
	Err            error
}

func (f *Failure) Error() string { return fmt.Sprintf("starting %s: %v", f.Component, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// LogTail returns the last lines of the component's log.
func (f *Failure) LogTail(lines int) string {
	data, err := os.ReadFile(f.Log)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Await calls isReady until it returns nil. It gives up when the program ends,
// the time is over or ctx is done.
func Await(ctx context.Context, program *Running, timeout time.Duration, isReady func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	fail := func(err error) error {
		return &Failure{Component: program.Name, Log: program.Log, Err: err}
	}
	for {
		err := isReady(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-program.Exited():
			return fail(fmt.Errorf("it ended: %w", endOf(program)))
		case <-ctx.Done():
			return fail(fmt.Errorf("waiting until it is ready: %w (%w)", ctx.Err(), err))
		case <-time.After(pollInterval):
		}
	}
}

func endOf(program *Running) error {
	if program.Err() != nil {
		return program.Err()
	}
	return errors.New("without an error")
}

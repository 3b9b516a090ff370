// SPDX-License-Identifier: Apache-2.0

// Command bench measures the operator against raw Jobs in the same run: rounds
// of both take turns on a real etcd, API server and controller-manager, and the
// API server's audit log is the clock. It prints what was measured next to the
// budget and exits with 1 where a budget is missed, with 2 where nothing could
// be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

const (
	exitMissed = 1
	exitBroken = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitBroken
	}
	// Errors are returned; what the client logs besides is not of this program.
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	b := &bench{Options: *options, progress: stderr, report: newReport(options)}
	broken := b.measure(ctx)
	// What was measured before is shown even so.
	if err := errors.Join(broken, b.report.write(stdout, options.Output)); err != nil {
		fmt.Fprintln(stderr, err)
		return exitBroken
	}
	if b.report.missed() {
		return exitMissed
	}
	return 0
}

// bench is one run of this program.
type bench struct {
	Options
	progress io.Writer
	report   *report
}

func (b *bench) measure(ctx context.Context) error {
	for _, s := range scenarios {
		if !slices.Contains(b.Scenarios, s.name) {
			continue
		}
		if err := s.measure(ctx, b); err != nil {
			return fmt.Errorf("measuring %s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}

type scenario struct {
	name    string
	measure func(context.Context, *bench) error
}

// scenarios are in the order in which they are run.
var scenarios = []scenario{
	{"object", measureObject},
	{"burst", measureBurst},
	{"steady", measureSteady},
	{"waiting", measureWaiting},
	{"packed", measurePacked},
	{"parallel", measureParallel},
	{"memory", measureMemory},
}

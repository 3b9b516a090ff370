// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/asset"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/cluster"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/terminal"
)

// Exit codes.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitCancelled = 3
	exitTimeout   = 4
	exitUnknown   = 5
	// exitInterrupted is the exit code that a shell reports for a program that SIGINT terminated.
	exitInterrupted = 130
)

// Config is what a command line works with. The zero values of all but the
// streams are the defaults.
type Config struct {
	// Name is how this program is called: taskgroup, or kubectl taskgroup.
	Name     string
	In       io.Reader
	Out, Err io.Writer
	// Connect makes a session from the flags; (*cluster.Flags).Connect by default.
	Connect func(*cluster.Flags) (*cluster.Session, error)
	// Diagnose makes the connection of the checks of doctor; the session's by default.
	Diagnose func(*cluster.Session) (*doctor.Cluster, error)
	// Clock is the machine's by default.
	Clock clock.WithTicker
}

// app is what all commands share.
type app struct {
	Config
	flags   cluster.Flags
	palette terminal.Palette
	// ran is set once a command has accepted its arguments: an error before that
	// is one of usage.
	ran bool
}

// exitError ends the program with a code of its own; err may be nil where all
// is printed already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// misused is an error of usage that only the command itself could see.
func misused(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// Root returns the command with all commands below it, for their documentation.
func Root(config Config) *cobra.Command { return newApp(config).root() }

// newApp sets the defaults of a config.
func newApp(config Config) *app {
	a := &app{Config: config, palette: terminal.PaletteOf(config.Out)}
	if a.Name == "" {
		a.Name = "taskgroup"
	}
	if a.Clock == nil {
		a.Clock = clock.RealClock{}
	}
	if a.Connect == nil {
		a.Connect = (*cluster.Flags).Connect
	}
	if a.Diagnose == nil {
		a.Diagnose = func(s *cluster.Session) (*doctor.Cluster, error) { return doctor.Connect(s.Config, s.Namespace) }
	}
	return a
}

// Run runs one command and returns its exit code.
func Run(ctx context.Context, config Config, args []string) int {
	a := newApp(config)
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil {
		return a.reportInterrupt(err)
	}
	return a.report(err)
}

// reportInterrupt returns the exit code of every command that a signal stopped. Those
// that only show something until then have printed all of it.
func (a *app) reportInterrupt(err error) int {
	if exit, ok := errors.AsType[*exitError](err); !ok || exit.code != exitInterrupted {
		a.printProblem("interrupted", a.Name+" list shows what continues in the cluster")
	}
	return exitInterrupted
}

// interrupted is the end of a command that runs until it is interrupted.
func interrupted() error { return &exitError{code: exitInterrupted} }

// report prints what is wrong, each error with its advice, and returns the exit code.
func (a *app) report(err error) int {
	code := exitFailed
	if !a.ran {
		code = exitUsage
	}
	exit, ok := errors.AsType[*exitError](err)
	if ok {
		code = exit.code
	}
	for _, err := range failuresOf(err) {
		what, next, _ := strings.Cut(cluster.Explain(err).Error(), "\nnext: ")
		if code == exitUsage {
			next = a.Name + " --help shows the commands and flags"
		}
		a.printProblem(what, next)
	}
	return code
}

// printProblem prints an error and what to do about it, if that is known.
func (a *app) printProblem(what, next string) {
	palette := terminal.PaletteOf(a.Err)
	fmt.Fprintf(a.Err, "%s %s\n", palette.Paint(terminal.Red, "error:"), what)
	if next != "" {
		fmt.Fprintf(a.Err, "%s %s\n", palette.Paint(terminal.Bold, "next:"), next)
	}
}

// session connects, with the flags of this run.
func (a *app) session() (*cluster.Session, error) { return a.Connect(&a.flags) }

// gateway returns the store of the cluster's asset gateway.
func (a *app) gateway() *asset.Gateway {
	return &asset.Gateway{Connect: func(namespace string) (*gateway.Gateway, error) {
		session, err := a.session()
		if err != nil {
			return nil, err
		}
		return session.Gateway(namespace)
	}}
}

// text fills in how this program is called.
func (a *app) text(s string) string { return strings.ReplaceAll(s, "{cmd}", a.Name) }

// run marks where usage ends and work begins.
func (a *app) run(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.ran = true
		return do(cmd, args)
	}
}

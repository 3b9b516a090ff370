// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// arm is how the controller-manager is started.
type arm string

const (
	// stock has the limits that a controller-manager has by default.
	stock arm = "stock"
	// unthrottled lets the Job controller work as fast as the machine does.
	unthrottled arm = "unthrottled"
)

// nodeKind is what plays the nodes of the scenarios burst, steady and waiting.
type nodeKind string

const (
	// kwok is the real scheduler and kwok, as processes of their own.
	kwok nodeKind = "kwok"
	// fake is a node of the rig in this program, which also binds the pods.
	fake nodeKind = "fake"
)

// flags are the flags of `cluster up`.
func (a arm) flags() []string {
	if a == stock {
		return nil
	}
	return []string{
		"--extra-controller-manager-arg", "kube-api-qps=1000",
		"--extra-controller-manager-arg", "kube-api-burst=2000",
		"--extra-controller-manager-arg", "concurrent-job-syncs=50",
	}
}

// Options are the flags of the command line.
type Options struct {
	Arm       arm
	Node      nodeKind
	Groups    []int
	Rounds    int
	Rates     []int
	Steady    time.Duration
	Memory    []int
	Live      int
	Waiting   int
	Scenarios []string
	Manager   string
	// ManagerArgs are further flags of the operator.
	ManagerArgs []string
	Details     bool
	Output      string
}

// parseOptions returns flag.ErrHelp after --help.
func parseOptions(args []string, stderr io.Writer) (*Options, error) {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	o := Options{Arm: unthrottled, Node: kwok, Memory: []int{1000, 2000}, Scenarios: names}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("arm", "the controller-manager: stock or unthrottled (default unthrottled)", func(s string) error {
		o.Arm = arm(s)
		return nil
	})
	flags.Func("node", "the nodes of burst, steady and waiting: kwok (with the real scheduler) or fake (default kwok)", func(s string) error {
		o.Node = nodeKind(s)
		return nil
	})
	flags.Func("groups", "groups, and raw Jobs, of a burst, separated by commas; packed has a tenth of the groups (default 200,1000; stock: 200)", integers(&o.Groups))
	flags.IntVar(&o.Rounds, "rounds", 3, "rounds of each scenario but memory, and three times as many of the smallest of packed; medians are of these")
	flags.Func("rates", "groups per second of steady, separated by commas (default 8,20; stock: 2)", integers(&o.Rates))
	flags.DurationVar(&o.Steady, "steady", 15*time.Second, "how long steady sends in a round")
	flags.Func("memory", "at how many finished groups memory is measured, rising, separated by commas (default 1000,2000)", integers(&o.Memory))
	flags.IntVar(&o.Live, "live", 500, "how many live groups memory is measured with at last")
	flags.IntVar(&o.Waiting, "waiting", 2000, "the number of suspended groups of the scenario waiting")
	flags.Func("scenario", "scenarios, separated by commas: "+strings.Join(names, ", ")+" (default all)", func(s string) error {
		o.Scenarios = strings.Split(s, ",")
		return nil
	})
	flags.StringVar(&o.Manager, "manager", "", "the operator's program (default bin/manager of the repository)")
	flags.Func("manager-arg", "a further flag of the operator, such as --pprof-bind-address=127.0.0.1:6060; may be repeated", func(s string) error {
		o.ManagerArgs = append(o.ManagerArgs, s)
		return nil
	})
	flags.BoolVar(&o.Details, "details", false, "also list others' writes by verb and resource, and processor time by process")
	flags.StringVar(&o.Output, "o", "text", "format of the result: text or json")
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("reading the flags: %w", err)
	}
	if len(o.Groups) == 0 {
		o.Groups = []int{200, 1000}
		if o.Arm == stock {
			o.Groups = []int{200}
		}
	}
	if len(o.Rates) == 0 {
		o.Rates = []int{8, 20}
		if o.Arm == stock {
			// Below the 3.4 Jobs per second that a stock Job controller reaches.
			o.Rates = []int{2}
		}
	}
	return &o, errors.Join(o.validate(names), unexpected(flags.Args()))
}

func (o *Options) validate(names []string) error {
	var errs []error
	if o.Arm != stock && o.Arm != unthrottled {
		errs = append(errs, fmt.Errorf("--arm is stock or unthrottled, not %q", o.Arm))
	}
	if o.Node != kwok && o.Node != fake {
		errs = append(errs, fmt.Errorf("--node is kwok or fake, not %q", o.Node))
	}
	if slices.Min(slices.Concat([]int{o.Rounds, o.Live, o.Waiting}, o.Groups, o.Rates, o.Memory)) < 1 {
		errs = append(errs, errors.New("--groups, --rounds, --live, --waiting, --rates and --memory are at least 1"))
	}
	if o.Steady < time.Second || !slices.IsSorted(o.Memory) {
		errs = append(errs, errors.New("--steady is at least 1s, and --memory rises"))
	}
	for _, s := range o.Scenarios {
		if !slices.Contains(names, s) {
			errs = append(errs, fmt.Errorf("--scenario is of %s, not %q", strings.Join(names, ", "), s))
		}
	}
	if o.Output != "text" && o.Output != "json" {
		errs = append(errs, fmt.Errorf("-o is text or json, not %q", o.Output))
	}
	return errors.Join(errs...)
}

func unexpected(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: see --help", args[0])
	}
	return nil
}

func integers(into *[]int) func(string) error {
	return func(s string) error {
		*into = nil
		for field := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("reading %q: %w", field, err)
			}
			*into = append(*into, n)
		}
		return nil
	}
}

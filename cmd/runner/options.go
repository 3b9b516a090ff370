package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

// The environment of the runner. None of it reaches the tasks.
const (
	envWork        = "TASKGROUP_WORK"
	envPython      = "TASKGROUP_PYTHON"
	envGrace       = "TASKGROUP_GRACE_SECONDS"
	envTermination = "TASKGROUP_TERMINATION_LOG"
)

const (
	defaultWork        = "/taskgroup/work"
	defaultPython      = "python3"
	defaultTermination = "/dev/termination-log"
	// defaultGrace is Kubernetes' terminationGracePeriodSeconds.
	defaultGrace = 30 * time.Second
)

// options are what the environment says.
type options struct {
	plan        *contract.Plan
	workDir     string
	python      string
	grace       time.Duration
	termination string
	// createTermination is set where the path is not the kubelet's, who creates its own.
	createTermination bool
	// env is what is left for the tasks.
	env []string
}

// optionsFrom reads the environment. The options are usable for a termination
// message even with an error.
func optionsFrom(environ []string) (*options, error) {
	own := map[string]string{contract.PlanEnv: "", envWork: "", envPython: "", envGrace: "", envTermination: ""}
	o := &options{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, ok := own[name]; ok {
			own[name] = value
		} else {
			o.env = append(o.env, entry)
		}
	}
	o.workDir = cmp.Or(own[envWork], defaultWork)
	o.python = cmp.Or(own[envPython], defaultPython)
	o.termination = cmp.Or(own[envTermination], defaultTermination)
	o.createTermination = own[envTermination] != ""
	o.grace = defaultGrace
	if text := own[envGrace]; text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds < 0 || seconds > 1e9 {
			return o, fmt.Errorf("%s is %q: want a number of seconds", envGrace, text)
		}
		o.grace = time.Duration(seconds * float64(time.Second))
	}
	if own[contract.PlanEnv] == "" {
		return o, errors.New(contract.PlanEnv + " is not set: this program is started by the TaskGroup operator")
	}
	var err error
	o.plan, err = contract.DecodePlan(own[contract.PlanEnv])
	return o, err
}

func writeTermination(o *options, raw []byte) error {
	flags := os.O_WRONLY | os.O_TRUNC
	if o.createTermination {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(o.termination, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

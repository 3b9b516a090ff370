// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// The environment of the runner. None of it reaches the tasks; the index of an
// indexed Job's pod, contract.IndexEnv, does.
const (
	envWork        = "TASKGROUP_WORK"
	envPython      = "TASKGROUP_PYTHON"
	envGrace       = "TASKGROUP_GRACE_SECONDS"
	envStoreRetry  = "TASKGROUP_STORE_RETRY_SECONDS"
	envStoreStall  = "TASKGROUP_STORE_STALL_SECONDS"
	envTermination = "TASKGROUP_TERMINATION_LOG"
	envFlush       = "TASKGROUP_FLUSH_SECONDS"
	envCheckpoint  = "TASKGROUP_CHECKPOINT_SECONDS"
	envStreamLimit = "TASKGROUP_STREAM_LIMIT"
	envSignedURLs  = "TASKGROUP_SIGNED_URLS"
)

const (
	defaultWork        = "/taskgroup/work"
	defaultPython      = "python3"
	defaultTermination = "/dev/termination-log"
	// defaultGrace is Kubernetes' terminationGracePeriodSeconds.
	defaultGrace = 30 * time.Second
)

// options are the settings from the environment.
type options struct {
	plan    *contract.Plan
	workDir string
	python  string
	grace   time.Duration
	// flush, checkpoint and streamLimit are zero if they are not set.
	flush, checkpoint time.Duration
	streamLimit       int64
	// storeRetry and storeStall are the timeouts of the stores; 0 is their default.
	storeRetry, storeStall time.Duration
	termination            string
	// signedURLs is a file that exists if the pod has signed URLs.
	signedURLs string
	// index is the index of the pod in a Parallel group; -1 if it is not known.
	index int
	// createTermination is set if the path is not that of the kubelet, which creates its file.
	createTermination bool
	// env is the environment of the tasks.
	env []string
}

// optionsFrom reads the environment. The options are usable for a termination
// message even with an error.
func optionsFrom(environ []string) (*options, error) {
	own := map[string]string{
		contract.PlanEnv: "", envWork: "", envPython: "", envGrace: "", envStoreRetry: "", envStoreStall: "",
		envTermination: "", envFlush: "", envCheckpoint: "", envStreamLimit: "", envSignedURLs: "",
	}
	o := &options{}
	var index string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name == contract.IndexEnv {
			index = value
		}
		if _, ok := own[name]; ok {
			own[name] = value
		} else {
			o.env = append(o.env, entry)
		}
	}
	o.workDir = cmp.Or(own[envWork], defaultWork)
	o.python = cmp.Or(own[envPython], defaultPython)
	o.termination = cmp.Or(own[envTermination], defaultTermination)
	o.signedURLs = cmp.Or(own[envSignedURLs], path.Join(contract.SignedURLsDir, contract.SignedURLsKey))
	o.createTermination = own[envTermination] != ""
	o.grace = defaultGrace
	if err := errors.Join(
		parseSeconds(envGrace, own[envGrace], &o.grace),
		parseSeconds(envStoreRetry, own[envStoreRetry], &o.storeRetry),
		parseSeconds(envStoreStall, own[envStoreStall], &o.storeStall),
		parseSeconds(envFlush, own[envFlush], &o.flush),
		parseSeconds(envCheckpoint, own[envCheckpoint], &o.checkpoint),
		parseBytes(envStreamLimit, own[envStreamLimit], &o.streamLimit),
	); err != nil {
		return o, err
	}
	if own[contract.PlanEnv] == "" {
		return o, errors.New(contract.PlanEnv + " is not set: this program is started by the TaskGroup operator")
	}
	var err error
	if o.plan, err = contract.DecodePlan(own[contract.PlanEnv]); err != nil {
		return o, err
	}
	o.apply(&o.plan.Settings)
	var indexErr error
	if o.plan.Parallel {
		o.index, indexErr = podIndex(index)
	}
	if err := store.CheckOutputs(o.plan.Outputs); err != nil {
		return o, err
	}
	return o, indexErr
}

// apply replaces the settings from the environment by those of the plan.
func (o *options) apply(s *contract.RunnerSettings) {
	seconds := func(n int64, otherwise time.Duration) time.Duration {
		return cmp.Or(time.Duration(n)*time.Second, otherwise)
	}
	o.python = cmp.Or(s.Python, o.python)
	o.flush = seconds(s.FlushSeconds, o.flush)
	o.streamLimit = cmp.Or(s.StreamLimitBytes, o.streamLimit)
	o.storeRetry = seconds(s.StoreRetrySeconds, o.storeRetry)
	o.storeStall = seconds(s.StoreStallSeconds, o.storeStall)
}

func parseSeconds(name, text string, into *time.Duration) error {
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 || seconds > 1e9 {
		return fmt.Errorf("%s is %q: want a number of seconds", name, text)
	}
	*into = time.Duration(seconds * float64(time.Second))
	return nil
}

func parseBytes(name, text string, into *int64) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 2 {
		return fmt.Errorf("%s is %q: want a number of bytes", name, text)
	}
	*into = n
	return nil
}

// podIndex returns the index of this pod in a Parallel group, or -1 and an error.
func podIndex(text string) (int, error) {
	if text == "" {
		return -1, errors.New(contract.IndexEnv + " is not set: the pods of a Parallel group belong to an indexed Job")
	}
	index, err := strconv.Atoi(text)
	if err != nil {
		return -1, fmt.Errorf("%s is %q: want a number", contract.IndexEnv, text)
	}
	return index, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// This file is part of package main: by it the tests' binary holds the program,
// and a change of the program makes the results that go test keeps stale.

func TestOptions(t *testing.T) {
	plan := contract.Plan{Version: contract.PlanVersion, Parallel: true}
	encoded, err := contract.EncodePlan(&plan)
	if err != nil {
		t.Fatal(err)
	}
	o, err := optionsFrom([]string{
		"A=1", "TASKGROUP_PLAN=" + encoded, "TASKGROUP_WORK=/w", "TASKGROUP_PYTHON=py", "TASKGROUP_GRACE_SECONDS=2.5", "JOB_COMPLETION_INDEX=7", "B=",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=1", "JOB_COMPLETION_INDEX=7", "B="}, o.env); diff != "" {
		t.Errorf("the tasks' environment:\n%s", diff)
	}
	if o.index != 7 || o.grace != 2500*time.Millisecond || o.workDir != "/w" || o.python != "py" || o.termination != defaultTermination || o.createTermination {
		t.Errorf("options %+v", o)
	}
}

// TestSettingsOfThePlan replace those of the environment, which a ConfigMap in envFrom
// could set.
func TestSettingsOfThePlan(t *testing.T) {
	encoded, err := contract.EncodePlan(&contract.Plan{Version: contract.PlanVersion, Settings: contract.RunnerSettings{
		Python: "/opt/python", FlushSeconds: 1, StreamLimitBytes: 2, StoreRetrySeconds: 3, StoreStallSeconds: 4,
	}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := optionsFrom([]string{
		"TASKGROUP_PLAN=" + encoded, "TASKGROUP_PYTHON=py", "TASKGROUP_FLUSH_SECONDS=60", "TASKGROUP_STREAM_LIMIT=60",
		"TASKGROUP_STORE_RETRY_SECONDS=60", "TASKGROUP_STORE_STALL_SECONDS=60",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.python != "/opt/python" || o.flush != time.Second || o.streamLimit != 2 || o.storeRetry != 3*time.Second || o.storeStall != 4*time.Second {
		t.Errorf("options %+v", o)
	}
}

func TestOptionsTakeTheIndexOfParallelPlansOnly(t *testing.T) {
	encoded, err := contract.EncodePlan(&contract.Plan{Version: contract.PlanVersion})
	if err != nil {
		t.Fatal(err)
	}
	o, err := optionsFrom([]string{"TASKGROUP_PLAN=" + encoded, "JOB_COMPLETION_INDEX=x"})
	if err != nil || o.index != 0 || o.grace != defaultGrace || o.workDir != defaultWork || o.python != defaultPython {
		t.Errorf("options %+v, %v", o, err)
	}
}

func TestOptionsWithoutAPlan(t *testing.T) {
	if _, err := optionsFrom(nil); err == nil || !strings.HasPrefix(err.Error(), "TASKGROUP_PLAN is not set") {
		t.Errorf("error %v", err)
	}
}

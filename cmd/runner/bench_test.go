// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// alone does with one Python what a pod does: read, call, write.
const alone = `
import base64, sys, cloudpickle
def load(path):
    raw = open(path, "rb").read()
    return cloudpickle.loads(base64.b64decode(raw[int.from_bytes(raw[8:16], "big"):]))
result = load(sys.argv[1])(load(sys.argv[2]))
open(sys.argv[3], "wb").write(base64.b64encode(cloudpickle.dumps(result)))
`

// BenchmarkOverhead compares pods of 1 and of 21 functions with one python3 -c
// that does a task's work and nothing else, in turns, and reports medians. The
// budgets are in ms: 50 over Python per pod, 5 per further task.
func BenchmarkOverhead(b *testing.B) {
	if assetDir == "" {
		b.Skip(pythonEnv + " names no Python with cloudpickle")
	}
	const further = 20
	var python, one, many []float64
	for b.Loop() {
		python = append(python, benchPython(b))
		one = append(one, benchPod(b, 1))
		many = append(many, benchPod(b, 1+further))
	}
	b.ReportMetric(median(python), "python-ms")
	b.ReportMetric(median(one), "pod-ms")
	b.ReportMetric(median(one)-median(python), "over-python-ms")
	b.ReportMetric((median(many)-median(one))/further, "further-task-ms")
}

func benchPython(b *testing.B) float64 {
	b.Helper()
	program := exec.Command(os.Getenv(pythonEnv), "-c", alone, assetDir+"/add", assetDir+"/three", filepath.Join(b.TempDir(), "output"))
	started := time.Now()
	if out, err := program.CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	return milliseconds(started)
}

func benchPod(b *testing.B, tasks int) float64 {
	b.Helper()
	dir := b.TempDir()
	plan := contract.Plan{Version: contract.PlanVersion, UID: "u", Attempt: 1, Outputs: "file://" + dir + "/out", Inputs: map[contract.NodeID]string{1000: asset("three")}}
	for i := range tasks {
		plan.Tasks = append(plan.Tasks, function(contract.NodeID(i), "add", 1000))
	}
	program := benchRunner(b, dir, &plan)
	started := time.Now()
	if out, err := program.CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	return milliseconds(started)
}

func benchRunner(b *testing.B, dir string, plan *contract.Plan) *exec.Cmd {
	b.Helper()
	encoded, err := contract.EncodePlan(plan)
	if err != nil {
		b.Fatal(err)
	}
	program := exec.Command(runnerPath)
	program.Env = []string{
		contract.PlanEnv + "=" + encoded, "PATH=" + os.Getenv("PATH"), "TASKGROUP_PYTHON=" + os.Getenv(pythonEnv),
		"TASKGROUP_WORK=" + dir + "/work", "TASKGROUP_TERMINATION_LOG=" + dir + "/termination-log",
	}
	return program
}

// BenchmarkMemory reports the largest resident set of the runner itself, as
// its last task sees it.
func BenchmarkMemory(b *testing.B) {
	for _, tasks := range []int{1, 256} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			var peak []float64
			for b.Loop() {
				dir := b.TempDir()
				plan := contract.Plan{Version: contract.PlanVersion, UID: "u", Attempt: 1, Outputs: "file://" + dir + "/out"}
				for i := range tasks {
					plan.Tasks = append(plan.Tasks, shell(contract.NodeID(i), "grep VmHWM /proc/$PPID/status"))
				}
				out, err := benchRunner(b, dir, &plan).Output()
				found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindAllSubmatch(out, -1)
				if err != nil || len(found) != tasks {
					b.Fatal(err, string(out))
				}
				kib, _ := strconv.ParseFloat(string(found[tasks-1][1]), 64)
				peak = append(peak, kib/1024)
			}
			b.ReportMetric(median(peak), "peak-MiB")
		})
	}
	if info, err := os.Stat(runnerPath); err == nil {
		b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
	}
}

func milliseconds(since time.Time) float64 { return time.Since(since).Seconds() * 1000 }

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

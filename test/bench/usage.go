// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ticks is the kernel's USER_HZ, in which /proc counts processor time.
const ticks = 100

// operatorName and clientName are the operator and this program among the processes.
// The others have the names that the cluster gives them.
const (
	operatorName = "operator"
	clientName   = "client"
)

// usage is what the processes have used since they were started. This program is the
// client, and the nodes too where kwok is not used.
type usage struct {
	processor map[string]time.Duration
	etcdBytes float64
	// reconciles is the number of reconciles; 0 without an operator.
	reconciles float64
	// machine is the processor time of all programs of the machine, and at the time.
	machine time.Duration
	at      time.Time
	// elapsed is set in a difference.
	elapsed time.Duration
}

func (u usage) since(earlier usage) usage {
	used := usage{
		processor: map[string]time.Duration{}, etcdBytes: u.etcdBytes - earlier.etcdBytes, reconciles: u.reconciles - earlier.reconciles,
		machine: u.machine - earlier.machine, elapsed: u.at.Sub(earlier.at),
	}
	for name := range u.processor {
		used.processor[name] = u.processor[name] - earlier.processor[name]
	}
	return used
}

// all is the processor time of all processes.
func (u usage) all() time.Duration {
	var sum time.Duration
	for _, used := range u.processor {
		sum += used
	}
	return sum
}

func (a *arena) usage(ctx context.Context) (usage, error) {
	u := usage{processor: map[string]time.Duration{}, at: time.Now()}
	var err error
	if u.machine, err = machineTime(); err != nil {
		return u, err
	}
	for name, pid := range a.processes {
		if u.processor[name], err = processorTime(pid); err != nil {
			return u, err
		}
	}
	if u.etcdBytes, err = metric(ctx, a.EtcdMetrics, "etcd_debugging_mvcc_total_put_size_in_bytes"); err != nil || a.operator == nil {
		return u, err
	}
	u.reconciles, err = a.scraper.reconciles(ctx)
	return u, err
}

// foreign returns the share of all processors that other programs used: times of a
// trial with a high share depend on these programs.
func (u usage) foreign() float64 {
	return max(0, (u.machine-u.all()).Seconds()/(u.elapsed.Seconds()*float64(runtime.NumCPU())))
}

// machineTime returns the processor time of all programs of the machine.
func machineTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("reading processor time: %w", err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	// user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user.
	const idle, iowait, last = 3, 4, 8
	var sum time.Duration
	for i, field := range strings.Fields(line)[1 : last+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading processor time: %w", err)
		}
		if i != idle && i != iowait {
			sum += time.Duration(n) * time.Second / ticks
		}
	}
	return sum, nil
}

// processorTime is the user and system time of a process.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading processor time: %w", err)
	}
	// The name in parentheses may hold anything; the third field follows it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const utime, stime, first = 14, 15, 3
	var sum time.Duration
	for _, field := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[field-first], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading processor time: %w", err)
		}
		sum += time.Duration(n) * time.Second / ticks
	}
	return sum, nil
}

// memoryKiB is one line of a process's memory, such as VmRSS, from /proc.
func memoryKiB(pid int, line string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), line+":")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	return kib, nil
}

// metric reads one of etcd's metrics.
func metric(ctx context.Context, url, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", name, err)
	}
	return sumOf(http.DefaultClient, request, name)
}

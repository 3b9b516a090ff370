package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
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
	// reconciles is how often the operator looked at a group; 0 without an operator.
	reconciles float64
}

func (u usage) since(earlier usage) usage {
	used := usage{processor: map[string]time.Duration{}, etcdBytes: u.etcdBytes - earlier.etcdBytes, reconciles: u.reconciles - earlier.reconciles}
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
	u := usage{processor: map[string]time.Duration{}}
	for name, pid := range a.processes {
		var err error
		if u.processor[name], err = processorTime(pid); err != nil {
			return u, err
		}
	}
	var err error
	if u.etcdBytes, err = metric(ctx, a.EtcdMetrics, "etcd_debugging_mvcc_total_put_size_in_bytes"); err != nil || a.operator == nil {
		return u, err
	}
	u.reconciles, err = a.scraper.reconciles(ctx)
	return u, err
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

// SPDX-License-Identifier: Apache-2.0

package build

import (
	"fmt"
	"time"
)

// seconds is how long two cores take for each program of a first build, in its order:
// the first program of a module compiles what the others share.
var seconds = map[string]float64{
	"etcd": 21, "kube-apiserver": 249, "kube-controller-manager": 68, "kube-scheduler": 7, "kubectl": 17,
	"kube-proxy": 12, "kubelet": 23, "containerd": 55, "containerd-shim-runc-v2": 1, "ctr": 3, "host-local": 4, "ptp": 1,
	"coredns": 57, "versitygw": 58, "kwok": 40,
}

// estimate estimates when a build ends.
type estimate struct {
	// done and left are the seconds of the programs on the machine where they were measured.
	done, left float64
	// spent is what the programs that are done took here.
	spent time.Duration
}

func newEstimate(targets []Target) *estimate {
	e := &estimate{}
	for _, target := range targets {
		e.left += weight(target)
	}
	return e
}

func weight(target Target) float64 {
	if known, ok := seconds[target.Name]; ok {
		return known
	}
	return 5
}

// add records that a program was built.
func (e *estimate) add(target Target, took time.Duration) {
	e.done += weight(target)
	e.left -= weight(target)
	e.spent += took
}

// remaining returns the time until the end, at the speed of the programs so far.
func (e *estimate) remaining() time.Duration {
	factor := 1.0
	// The time of a short first program is no measure for the others.
	const trusted = 60
	if e.done >= trusted {
		factor = e.spent.Seconds() / e.done
	}
	return time.Duration(e.left * factor * float64(time.Second))
}

// text formats the remaining time.
func (e *estimate) text() string {
	left := e.remaining()
	if left < 90*time.Second {
		return fmt.Sprintf("about %d s left", int(left.Round(5*time.Second).Seconds()))
	}
	return fmt.Sprintf("about %d min left", int(left.Round(time.Minute).Minutes()))
}

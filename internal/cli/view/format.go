// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// maxWhat is how much of a task's command is shown, in bytes.
const maxWhat = 60

// Age is how long ago t was, as kubectl prints it.
func Age(t, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(max(now.Sub(t), 0))
}

// Span is a duration in the form that suits its size: 0.26s, 4.2s, 3m20s, 2h5m.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + "s"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	return duration.HumanDuration(d)
}

// Bytes is a size in binary units: 0 B, 812 B, 4.0 KiB.
func Bytes(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(max(n, 0), 10) + " B"
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 4 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}

// What is what a task runs, in a few words.
func What(tg *v1alpha1.TaskGroup, task *v1alpha1.TaskSpec) string {
	if len(task.Command) > 0 {
		return shorten(strings.Join(task.Command, " "))
	}
	if tg.Spec.Assets == nil {
		return ""
	}
	uri := string(tg.Spec.Assets.Functions[task.NodeID.String()])
	// A signed URI is a password.
	uri, _, _ = strings.Cut(uri, "?")
	return "function " + uri[strings.LastIndexByte(uri, '/')+1:]
}

func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	runes := []rune(s)
	if len(runes) <= maxWhat {
		return s
	}
	return string(runes[:maxWhat-1]) + "…"
}

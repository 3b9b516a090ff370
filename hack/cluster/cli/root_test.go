// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
)

func TestExplain(t *testing.T) {
	log := filepath.Join(t.TempDir(), "etcd.log")
	if err := os.WriteFile(log, []byte(strings.Repeat("noise\n", 50)+"the cause\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	failure := &process.Failure{Component: "etcd", Log: log, Err: errors.New("it ended")}
	tests := map[string]struct {
		err  error
		want string
	}{
		"a component that ended":    {fmt.Errorf("up: %w", failure), "the cause\n"},
		"somebody pressed Ctrl-C":   {&process.Failure{Component: "etcd", Log: log, Err: context.Canceled}, "interrupted"},
		"anything else is as it is": {errors.New("choosing addresses: none"), "choosing addresses: none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Explain(test.err)
			if !strings.Contains(got, test.want) {
				t.Errorf("Explain = %q, want %q in it", got, test.want)
			}
			if lines := strings.Count(got, "\n"); lines > logLines+5 {
				t.Errorf("Explain has %d lines, want only the end of the log", lines)
			}
		})
	}
}

func TestCommandsExplainThemselves(t *testing.T) {
	for _, command := range []string{"build", "up", "down", "status", "load-image", "kubeconfig"} {
		t.Run(command, func(t *testing.T) {
			var out bytes.Buffer
			if err := Run(t.Context(), []string{command, "--help"}, &out, &out); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), "Usage:") {
				t.Errorf("help = %q", out.String())
			}
		})
	}
}

func TestStatusOfAClusterThatIsNotThere(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), []string{"status", "--name", "nobody", "--dir", t.TempDir()}, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "no such cluster") {
		t.Errorf("status = %v, want that there is no such cluster", err)
	}
}

func TestUnknownOutputFormatIsRefusedBeforeAnythingStarts(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), []string{"up", "-o", "yaml", "--dir", t.TempDir()}, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "text or json") {
		t.Errorf("up -o yaml = %v, want an error", err)
	}
}

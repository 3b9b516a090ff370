// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
)

// ended is what a pod leaves.
type ended struct {
	t              *testing.T
	code           int
	stdout, stderr string
	message        *contract.TerminationMessage
	// manifest is nil where the message has no digest of one.
	manifest *contract.Manifest
}

// run runs the pod to its end.
func (p *pod) run() *ended {
	p.t.Helper()
	return p.start()()
}

// start starts the pod and returns what waits for its end.
func (p *pod) start() func() *ended {
	p.t.Helper()
	runner := p.command()
	var stdout, stderr bytes.Buffer
	runner.Stdout, runner.Stderr = &stdout, &stderr
	if err := runner.Start(); err != nil {
		p.t.Fatal(err)
	}
	return func() *ended {
		p.t.Helper()
		return p.collect(runner.Wait(), stdout.String(), stderr.String())
	}
}

// collect reads the results of the pod, and checks that the parts fit together.
func (p *pod) collect(err error, stdout, stderr string) *ended {
	p.t.Helper()
	e := &ended{t: p.t, stdout: stdout, stderr: stderr}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		e.code = exit.ExitCode()
	} else if err != nil {
		p.t.Fatal(err)
	}
	raw, err := os.ReadFile(p.env["TASKGROUP_TERMINATION_LOG"])
	if err != nil {
		p.t.Fatal(err)
	}
	tasks := len(p.plan.Tasks)
	if p.plan.Parallel {
		tasks = 1
	}
	e.message, err = contract.DecodeTerminationMessage(string(raw), tasks)
	if err != nil {
		p.t.Fatalf("termination message: %v\n%s\n%s", err, raw, stderr)
	}
	if e.message.ManifestSHA256 != "" {
		e.manifest = p.readManifest(e.message)
	}
	return e
}

func (p *pod) readManifest(message *contract.TerminationMessage) *contract.Manifest {
	p.t.Helper()
	uri := contract.ManifestURI(p.plan.Outputs)
	if p.plan.Parallel {
		index, _ := strconv.Atoi(p.env[contract.IndexEnv])
		uri = contract.TaskManifestURI(p.plan.Outputs, p.plan.Tasks[index].NodeID)
	}
	raw := read(p.t, uri)
	if got := digest(raw); got != message.ManifestSHA256 {
		p.t.Errorf("%s has digest %s, the termination message says %s", uri, got, message.ManifestSHA256)
	}
	manifest, err := contract.DecodeManifest(raw)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, record := range manifest.Tasks {
		if record.State != message.States[i] {
			p.t.Errorf("task %d is %s in the manifest and %s in the termination message", record.NodeID, record.State, message.States[i])
		}
		p.checkAssets(record)
	}
	return manifest
}

func (p *pod) checkAssets(record contract.TaskRecord) {
	p.t.Helper()
	for key, a := range record.Assets {
		if a.URI == p.lost {
			continue
		}
		data := read(p.t, a.URI)
		// What is taken over stays in the folder of the attempt that made it.
		ours := a.URI == contract.AssetURI(p.plan.Outputs, record.NodeID, key) || (p.plan.Previous != nil || p.plan.Uncommitted != nil) && record.State == contract.TaskCompleted
		if int64(len(data)) != a.Size || digest(data) != a.SHA256 || !ours {
			p.t.Errorf("the record of %s does not fit its %d bytes: %+v", key, len(data), a)
		}
	}
}

// task returns the record of a node.
func (e *ended) task(node contract.NodeID) contract.TaskRecord {
	e.t.Helper()
	if e.manifest == nil {
		e.t.Fatalf("no manifest was committed:\n%s", e.stderr)
	}
	for _, record := range e.manifest.Tasks {
		if record.NodeID == node {
			return record
		}
	}
	e.t.Fatalf("no record of node %d", node)
	return contract.TaskRecord{}
}

// text is an asset of a node.
func (e *ended) text(node contract.NodeID, key contract.AssetKey) string {
	e.t.Helper()
	a, ok := e.task(node).Assets[key]
	if !ok {
		e.t.Fatalf("task %d has no %s: %+v", node, key, e.task(node))
	}
	return string(read(e.t, a.URI))
}

// result is str() of what a function returned.
func (e *ended) result(node contract.NodeID) string {
	e.t.Helper()
	raw := e.text(node, contract.AssetOutput)
	if len(raw) < 16 {
		e.t.Fatalf("the output of %d has %d bytes", node, len(raw))
	}
	return raw[offset(raw[:8]):offset(raw[8:16])]
}

func offset(raw string) uint64 { return binary.BigEndian.Uint64([]byte(raw)) }

// states are the letters of the termination message.
func (e *ended) states() string {
	var letters strings.Builder
	for _, s := range e.message.States {
		letters.WriteByte(s.Letter())
	}
	return letters.String()
}

// expect checks exit code and states.
func (e *ended) expect(code int, states string) *ended {
	e.t.Helper()
	if e.code != code || e.states() != states {
		e.t.Fatalf("exit code %d, states %s; want %d, %s\nfailure: %+v\n%s", e.code, e.states(), code, states, e.message.Failure, e.stderr)
	}
	return e
}

func read(t *testing.T, uri string) []byte {
	t.Helper()
	raw, err := readAny(uri)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func readAny(uri string) ([]byte, error) {
	if strings.HasPrefix(uri, "s3:") {
		// With the test's own credentials.
		object, err := (&s3.Store{}).Open(context.Background(), uri, store.Position{})
		if err != nil {
			return nil, err
		}
		defer func() { _ = object.Close() }()
		return io.ReadAll(object)
	}
	if !strings.HasPrefix(uri, "http:") {
		return os.ReadFile(strings.TrimPrefix(uri, "file://"))
	}
	answer, err := http.Get(uri)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	return io.ReadAll(answer.Body)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// processExists reports whether a pid exists and no zombie.
func processExists(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

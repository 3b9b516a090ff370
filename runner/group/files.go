// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

// taskFiles are the paths of one task below the work directory.
type taskFiles struct {
	// scratch is an empty directory for the task.
	scratch string
	// The rest are files.
	stdout, stderr, output, report string
}

func filesIn(dir string) taskFiles {
	return taskFiles{
		scratch: filepath.Join(dir, "scratch"),
		stdout:  filepath.Join(dir, "stdout"),
		stderr:  filepath.Join(dir, "stderr"),
		output:  filepath.Join(dir, "output"),
		report:  filepath.Join(dir, "report.json"),
	}
}

// streams are the captured stdout and stderr of a task.
type streams struct{ stdout, stderr *stream.Capture }

// open creates the directories and starts to capture. Covalent reads the streams of a
// function as text; those of a command keep their bytes.
func (f taskFiles) open(stdout, stderr io.Writer, limit int64, text bool) (*streams, error) {
	if err := os.MkdirAll(f.scratch, 0o755); err != nil {
		return nil, err
	}
	out, err := stream.Start(stream.Config{File: f.stdout, Tee: stdout, Limit: limit, Text: text})
	if err != nil {
		return nil, err
	}
	errs, err := stream.Start(stream.Config{File: f.stderr, Tee: stderr, Limit: limit, Text: text})
	if err != nil {
		out.Release()
		return nil, errors.Join(err, out.Finish())
	}
	return &streams{stdout: out, stderr: errs}, nil
}

// writeError writes a line to the task's stderr, for a task whose process did not start.
func (s *streams) writeError(text string) { _, _ = fmt.Fprintln(s.stderr.Writer(), text) }

// release closes this process's copies of the task's ends; it may be called again.
func (s *streams) release() {
	s.stdout.Release()
	s.stderr.Release()
}

// finish closes the streams after the task has terminated.
func (s *streams) finish() error {
	s.release()
	var wg sync.WaitGroup
	var outErr, errErr error
	// Both at a time, since each may have to wait for a process that is left.
	wg.Go(func() { outErr = s.stdout.Finish() })
	wg.Go(func() { errErr = s.stderr.Finish() })
	wg.Wait()
	return errors.Join(outErr, errErr)
}

// userName is the name of the pod's user, which no image has an entry for.
const userName = "taskgroup"

// taskEnvironment returns the environment of all tasks: env, with defaults for what
// programs expect. The home directory is created if it is needed. A CPU limit of 0 is none.
func taskEnvironment(env []string, home string, cpuLimit float64) []string {
	// Python's getpass and much other software read these before they look up the
	// user, which fails for a user without an entry in /etc/passwd.
	env = withDefault(env, "USER", userName)
	env = withDefault(env, "LOGNAME", userName)
	if cpuLimit > 0 {
		// Otherwise OpenMP starts a thread for each CPU of the node. OpenBLAS, MKL, BLIS,
		// NumExpr and PyTorch read it, too, if their own variables are not set.
		env = withDefault(env, "OMP_NUM_THREADS", strconv.Itoa(int(math.Ceil(cpuLimit))))
	}
	return withHome(env, home)
}

// withDefault returns env with a variable, unless that is set to a value.
func withDefault(env []string, name, value string) []string {
	for _, entry := range env {
		if set, ok := strings.CutPrefix(entry, name+"="); ok && set != "" {
			return env
		}
	}
	return withVariables(env, map[string]string{name: value})
}

// withFirst returns env with a directory at the front of a variable such as PATH.
func withFirst(env []string, name, dir string) []string {
	list := dir
	for _, entry := range env {
		if set, ok := strings.CutPrefix(entry, name+"="); ok && set != "" {
			if set == dir || strings.HasPrefix(set, dir+":") {
				return env
			}
			list = dir + ":" + set
		}
	}
	return withVariables(env, map[string]string{name: list})
}

// removeStreams removes the files that were uploaded and that no task reads.
func (f taskFiles) removeStreams() {
	for _, path := range []string{f.stdout, f.stderr, f.report} {
		_ = os.Remove(path)
	}
}

// withHome gives tasks a HOME that they can write to: an image without an entry
// for the pod's user leaves it unset or at "/".
func withHome(env []string, fallback string) []string {
	for _, entry := range env {
		if home, ok := strings.CutPrefix(entry, "HOME="); ok && home != "" && unix.Access(home, unix.W_OK|unix.X_OK) == nil {
			return env
		}
	}
	if err := os.MkdirAll(fallback, 0o755); err != nil {
		return env
	}
	return withVariables(env, map[string]string{"HOME": fallback})
}

// withVariables returns env with variables set, each a single time.
func withVariables(env []string, set map[string]string) []string {
	merged := make([]string, 0, len(env)+len(set))
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if _, replaced := set[name]; !replaced {
			merged = append(merged, entry)
		}
	}
	for name, value := range set {
		merged = append(merged, name+"="+value)
	}
	return merged
}

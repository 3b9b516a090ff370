// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Spec reports what to start.
type Spec struct {
	// Name is the component's name; it names the log and the record.
	Name string
	// Path is the program, Args its arguments.
	Path string
	Args []string
	// Env is its whole environment.
	Env []string
	// Netns is the file of the network namespace to run in, empty for the host's.
	Netns string
	// LogDir and PIDDir get <name>.log and <name>.json.
	LogDir, PIDDir string
}

// Record is what is remembered of a started program.
type Record struct {
	Name string `json:"name"`
	Identity
	Command []string `json:"command"`
}

// Running is a program that this very process started.
type Running struct {
	Record
	// Log has its standard output and standard error.
	Log    string
	exited chan struct{}
	err    error
}

// Exited is closed when the program ends while its starter still lives.
func (r *Running) Exited() <-chan struct{} { return r.exited }

// Err reports how the program ended; only valid after Exited is closed.
func (r *Running) Err() error { return r.err }

// Start starts a program that outlives its starter: in a session of its own, so
// that no Ctrl-C and no closed terminal reaches it, and with its output in a file.
func Start(spec Spec) (*Running, error) {
	logFile := filepath.Join(spec.LogDir, spec.Name+".log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", spec.Name, err)
	}
	defer log.Close()

	command := spec.command()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = spec.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	running := &Running{Log: logFile, exited: make(chan struct{})}
	running.Record = Record{Name: spec.Name, Command: command}
	running.Identity, err = Host.Identify(cmd.Process.Pid)
	go func() {
		running.err = cmd.Wait()
		close(running.exited)
	}()
	if err != nil {
		return nil, fmt.Errorf("starting %s (see %s): %w", spec.Name, logFile, err)
	}
	if err := running.save(spec.PIDDir); err != nil {
		return nil, err
	}
	return running, nil
}

// command enters the network namespace with nsenter, which becomes the program
// and so keeps the pid. "ip netns exec" would also make a mount namespace, and
// then no volume that the kubelet mounts would reach a container.
func (s Spec) command() []string {
	command := append([]string{s.Path}, s.Args...)
	if s.Netns != "" {
		command = append([]string{"nsenter", "--net=" + s.Netns, "--"}, command...)
	}
	return command
}

func (r *Running) save(dir string) error {
	data, err := json.MarshalIndent(r.Record, "", "  ")
	if err != nil {
		return fmt.Errorf("recording %s: %w", r.Name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, r.Name+".json"), data, 0o600); err != nil {
		return fmt.Errorf("recording %s: %w", r.Name, err)
	}
	return nil
}

// Records reads what is remembered in a folder; a missing folder has none.
func Records(dir string) ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing the records in %s: %w", dir, err)
	}
	records := make([]Record, 0, len(files))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a record: %w", err)
		}
		var record Record
		// A record cut short by a crash identifies nothing; the environment
		// of the process does.
		if json.Unmarshal(data, &record) == nil {
			records = append(records, record)
		}
	}
	return records, nil
}

// LogFile is where the program writes, in a folder of logs.
func (r Record) LogFile(logDir string) string { return filepath.Join(logDir, r.Name+".log") }

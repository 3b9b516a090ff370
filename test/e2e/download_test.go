// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// program is a run of the command line.
type program struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

// commandLine is bin/taskgroup in the tests' namespace. It has no python3 to compare
// versions with unless a test gives it one.
func commandLine(t *testing.T, args ...string) *program {
	t.Helper()
	path := filepath.Join(cluster.Root, "bin", "taskgroup")
	p := &program{Cmd: exec.CommandContext(t.Context(), path, append([]string{"--kubeconfig", cluster.Kubeconfig, "-n", namespace}, args...)...)}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Env = []string{"HOME=" + t.TempDir(), "PATH=" + t.TempDir()}
	return p
}

// want runs a program that has to end with a code.
func (p *program) want(t *testing.T, code int) {
	t.Helper()
	err := p.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	if got := p.ProcessState.ExitCode(); got != code {
		t.Fatalf("%q ended with %d, want %d\n%s%s", p.Args[1:], got, code, p.stdout.String(), p.stderr.String())
	}
}

// awaitNone waits until no TaskGroup and no pod remains whose name begins with a prefix.
func awaitNone(t *testing.T, prefix string) {
	t.Helper()
	err := rig.Await(t.Context(), "nothing to remain of "+prefix, func(ctx context.Context) (bool, string, error) {
		out, err := cluster.Run(ctx, "-n", namespace, "get", "tg,jobs,pods", "-o", "name")
		return !strings.Contains(out, "/"+prefix), out, err
	})
	if err != nil {
		t.Error(err)
	}
}

// downloads begins the names of the TaskGroups of downloads.
const downloads = "taskgroup-download-"

// TestDownloadThroughAPod downloads 50 MiB from the claim, which this machine has under
// another path, with a name that needs escapes. A changed object is refused, and so is a
// caller without permissions. No pod remains, also after SIGINT.
func TestDownloadThroughAPod(t *testing.T) {
	const size = 50 << 20
	tg := group("large", v1alpha1.TaskSpec{Command: []string{"sh", "-c", `head -c 52428800 /dev/urandom >"$TASKGROUP_OUTPUT"; echo grün`}})
	tg.Spec.Assets.Outputs = "file:///assets/results/größte %41 50%25"
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	into := t.TempDir()
	begin := time.Now()
	download := commandLine(t, "results", "large", "--download", into)
	download.want(t, 0)
	t.Logf("50 MiB in %s", time.Since(begin).Round(10*time.Millisecond))
	awaitNone(t, downloads)
	content, err := os.ReadFile(filepath.Join(into, "0", "output"))
	if err != nil || len(content) != size {
		t.Fatalf("%d bytes, %v\n%s", len(content), err, download.stderr.String())
	}
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	if !strings.Contains(download.stdout.String(), digest[:12]) {
		t.Errorf("the digest is %s\n%s", digest, download.stdout.String())
	}
	if stdout, err := os.ReadFile(filepath.Join(into, "0", "stdout")); err != nil || string(stdout) != "grün\n" {
		t.Errorf("stdout is %q, %v", stdout, err)
	}

	t.Run("interrupted", func(t *testing.T) { interruptDownload(t) })
	for account, tc := range map[string]struct {
		roles []string
		want  string
	}{
		"viewer":     {[]string{"view"}, "you may not run a program in a pod in the namespace e2e: it needs create pods/exec"},
		"dispatcher": {[]string{"view", "taskgroup-executor"}, "you may not run a program in a pod in the namespace e2e: it needs create pods/exec"},
		"editor":     {[]string{"edit"}, ""},
	} {
		t.Run(account, func(t *testing.T) { downloadAs(t, account, tc.roles, tc.want) })
	}
	t.Run("another digest", func(t *testing.T) {
		path := filepath.Join(assets, "results", "größte A 50%", string(tg.UID), "a1", "0", string(contract.AssetOutput))
		content[size/2] ^= 1
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		into := t.TempDir()
		changed := commandLine(t, "results", "large", "--download", into)
		changed.want(t, 1)
		if !strings.Contains(changed.stderr.String(), "digest mismatch") {
			t.Errorf("it printed %s", changed.stderr.String())
		}
		if left, err := filepath.Glob(filepath.Join(into, "0", "output*")); err != nil || len(left) > 0 {
			t.Errorf("it kept %q, %v", left, err)
		}
		awaitNone(t, downloads)
	})
}

// downloadAs downloads as a user with these roles, who is refused with a text, or is not.
func downloadAs(t *testing.T, account string, roles []string, want string) {
	for _, role := range roles {
		if _, err := cluster.Run(t.Context(), "-n", namespace, "create", "rolebinding", account+"-"+role, "--clusterrole="+role, "--user="+account); err != nil {
			t.Fatal(err)
		}
	}
	p := commandLine(t, "results", "large", "--download", t.TempDir(), "--as", account)
	if want == "" {
		p.want(t, 0)
	} else {
		p.want(t, 1)
		for _, text := range []string{want, "next: if the volume is mounted on this machine, name its folder: --mount /assets=FOLDER"} {
			if !strings.Contains(p.stderr.String(), text) {
				t.Errorf("it lacks %q: %s", text, p.stderr.String())
			}
		}
	}
	awaitNone(t, downloads)
}

// interruptDownload sends SIGINT while the pod is being started or read.
func interruptDownload(t *testing.T) {
	p := commandLine(t, "results", "large", "--download", t.TempDir())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Wait()
	}()
	err := rig.Await(t.Context(), "the pod of the download", func(ctx context.Context) (bool, string, error) {
		out, err := cluster.Run(ctx, "-n", namespace, "get", "pods", "-o", "name")
		return strings.Contains(out, "/"+downloads), out, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
	}
	if code := p.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d\n%s%s", code, p.stdout.String(), p.stderr.String())
	}
	awaitNone(t, downloads)
}

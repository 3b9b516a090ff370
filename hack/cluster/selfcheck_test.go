// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/lifecycle"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
	"github.com/taskgroup-operator/taskgroup-operator/hack/image/recipe"
)

// selfCheckVariable turns the check on: it takes root, and a minute or two.
const selfCheckVariable = "TASKGROUP_CLUSTER_SELFCHECK"

// TestTwoClustersSideBySide starts two clusters at the same time, uses both,
// breaks one, removes both, and looks for anything that is left.
func TestTwoClustersSideBySide(t *testing.T) {
	if os.Getenv(selfCheckVariable) == "" || os.Geteuid() != 0 {
		t.Skipf("set %s=1 and run as root", selfCheckVariable)
	}
	tool := newTool(t)
	python := filepath.Join(t.TempDir(), "python.tar")
	if err := recipe.WritePython(t.Context(), "localhost/taskgroup-operator/python:dev", python, progress.New(t.Output())); err != nil {
		t.Fatal(err)
	}
	// Sockets have a limit of 108 bytes; a checkout may be deeper than that.
	root := filepath.Join(t.TempDir(), strings.Repeat("a-long-name-of-a-folder/", 6))
	clusters := []*testCluster{{tool: tool, name: "check-a", dir: filepath.Join(root, "a")}, {tool: tool, name: "check-b", dir: filepath.Join(root, "b")}}
	for _, c := range clusters {
		t.Cleanup(func() { c.down(t) })
	}
	var starting sync.WaitGroup
	for _, c := range clusters {
		starting.Go(func() { c.up(t, python) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, c := range clusters {
		c.usePods(t)
	}
	broken, whole := clusters[0], clusters[1]
	broken.crash(t, "containerd", "kubelet", "kube-apiserver", "etcd")
	broken.down(t)
	broken.checkNothingIsLeft(t)
	if got := whole.kubectl(t, "exec", "caller", "--", "python3", "-c", "print('still here')"); !strings.Contains(got, "still here") {
		t.Errorf("the other cluster: %s", got)
	}
	whole.down(t)
	whole.checkNothingIsLeft(t)
}

// newTool builds the cluster tool.
func newTool(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "cluster")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the tool: %v\n%s", err, out)
	}
	return tool
}

type testCluster struct {
	tool, name, dir string
	info            lifecycle.Info
}

func (c *testCluster) up(t *testing.T, images ...string) {
	args := []string{"up", "--name", c.name, "--dir", c.dir, "-o", "json"}
	for _, image := range images {
		args = append(args, "--image", image)
	}
	var out, progress bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.tool, args...)
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %v\n%s", args, err, progress.String())
		return
	}
	if err := json.Unmarshal(out.Bytes(), &c.info); err != nil {
		t.Errorf("parsing what up says: %v", err)
	}
}

// down takes no context of the test: it must work in its cleanup.
func (c *testCluster) down(t *testing.T) {
	cmd := exec.Command(c.tool, "down", "--name", c.name, "--dir", c.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("down %s: %v\n%s", c.name, err, out)
	}
}

func (c *testCluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.info.Kubectl, append([]string{"--kubeconfig", c.info.Kubeconfig}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: kubectl %v: %v\n%s", c.name, args, err, out)
	}
	return string(out)
}

func (c *testCluster) usePods(t *testing.T) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "tool.tar")
	program := filepath.Join(filepath.Dir(c.info.Kubectl), "cni", "ptp")
	image := recipe.Binary{Reference: "localhost/taskgroup-operator/tool:dev", File: program, User: recipe.Nonroot}
	if err := image.Write(archive); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), c.tool, "load-image", "--name", c.name, "--dir", c.dir, archive).CombinedOutput(); err != nil {
		t.Fatalf("load-image: %v\n%s", err, out)
	}
	c.kubectl(t, "apply", "-f", "testdata/pods.yaml")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/caller", "--timeout=60s")
	c.kubectl(t, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/volume", "--timeout=60s")
	c.kubectl(t, "wait", "--for=jsonpath={.status.phase}=Failed", "pod/greedy", "--timeout=60s")

	c.eventually(t, c.info.KubernetesVersion, "logs", "caller")
	c.eventually(t, "CNI ptp plugin", "logs", "volume")
	c.eventually(t, "OOMKilled", "get", "pod", "greedy", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.reason}")
	c.useServicesAndVolumes(t)
	c.eventually(t, "hello", "exec", "caller", "--", "python3", "-c", "print('hello')")
}

// useServicesAndVolumes checks what a restricted pod gets: the cluster's DNS, and a volume of the
// default StorageClass, which is a folder of the cluster.
func (c *testCluster) useServicesAndVolumes(t *testing.T) {
	t.Helper()
	c.kubectl(t, "-n", "restricted", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "--timeout=60s")
	c.eventually(t, `kubernetes.default.svc 10.96.0.1
backend 10.96.0.80
backend.restricted.svc.cluster.local 10.96.0.80
www.example.com does not exist
by the client
`, "-n", "restricted", "logs", "client")
	c.eventually(t, "Bound local", "-n", "restricted", "get", "pvc", "data", "-o", "jsonpath={.status.phase} {.spec.storageClassName}")
	written, err := filepath.Glob(filepath.Join(c.layout(t).Volumes(), "*", "written"))
	if err != nil || len(written) != 1 {
		t.Errorf("%s: files in the volumes' folders: %q, %v; want one", c.name, written, err)
	}
}

func (c *testCluster) eventually(t *testing.T, want string, args ...string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if got = c.kubectl(t, args...); strings.Contains(got, want) {
			return
		}
	}
	t.Errorf("%s: kubectl %v says %q, want %q in it", c.name, args, got, want)
}

func (c *testCluster) layout(t *testing.T) layout.Layout {
	t.Helper()
	l, err := layout.New(c.name, c.dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (c *testCluster) crash(t *testing.T, components ...string) {
	t.Helper()
	records, err := process.Records(c.layout(t).PIDs())
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		for _, component := range components {
			if record.Name == component {
				if err := syscall.Kill(record.PID, syscall.SIGKILL); err != nil {
					t.Errorf("killing %s: %v", component, err)
				}
			}
		}
	}
}

func (c *testCluster) checkNothingIsLeft(t *testing.T) {
	t.Helper()
	l := c.layout(t)
	if left, err := process.Host.WithEnvironment(l.Marker()); err != nil || len(left) > 0 {
		t.Errorf("%s: processes %v, %v", c.name, left, err)
	}
	if left, err := cgroup.Host.Processes(l.Cgroup()); err != nil || len(left) > 0 {
		t.Errorf("%s: processes in cgroups %v, %v", c.name, left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{l.Dir, l.RunDir(), l.Netns()} {
		if strings.Contains(string(mounts), place) {
			t.Errorf("%s: something is mounted at %s", c.name, place)
		}
	}
	cgroups, _ := filepath.Glob("/sys/fs/cgroup/*" + l.Cgroup())
	paths := append(cgroups, l.Dir, l.RunDir(), l.NetnsFile(), "/sys/class/net/"+l.HostLink())
	for _, path := range paths {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %s is left", c.name, path)
		}
	}
	routes, err := exec.CommandContext(context.Background(), "ip", "route").Output()
	if err != nil || strings.Contains(string(routes), l.HostLink()) {
		t.Errorf("%s: a route is left, %v:\n%s", c.name, err, routes)
	}
}

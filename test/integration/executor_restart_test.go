// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// What the executors of these tests call themselves.
const (
	restartAgent    = "executor-restarted-server"
	compactionAgent = "executor-compacted-server"
)

// serverProcess is how an API server was started.
type serverProcess struct {
	own  *rig.Cluster
	args []string
	env  []string
	pid  int
}

// apiServer finds the process of a cluster's API server.
func apiServer(t *testing.T, own *rig.Cluster) *serverProcess {
	t.Helper()
	pids, err := own.Pids(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &serverProcess{own: own, pid: pids["kube-apiserver"]}
	s.args, s.env = procStrings(t, s.pid, "cmdline"), procStrings(t, s.pid, "environ")
	return s
}

// procStrings reads a file of /proc whose strings end with NUL.
func procStrings(t *testing.T, pid int, file string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
}

// kill ends it as a crash would, and waits until connections are refused.
func (s *serverProcess) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(s.own.Config.Host, "https://")
	err := rig.Await(t.Context(), "the API server to be gone", func(ctx context.Context) (bool, string, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return false, "it takes connections", connection.Close()
		}
		return true, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// start starts it again, on its port and its etcd, and waits until it is ready. The
// marker of the cluster is in its environment: who ends the cluster ends it too.
func (s *serverProcess) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.own.Dir, "kube-apiserver-again.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, s.own.Dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	go func() { _ = cmd.Wait() }()
	err = rig.Await(t.Context(), "the API server to be ready", func(ctx context.Context) (bool, string, error) {
		out, err := s.own.Run(ctx, "get", "--raw", "/readyz")
		return err == nil && out == "ok", fmt.Sprint(out, err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// flag is the value of one of its flags.
func (s *serverProcess) flag(t *testing.T, name string) string {
	t.Helper()
	for _, arg := range s.args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	t.Fatalf("the API server has no --%s", name)
	return ""
}

// compact has etcd forget all that is older than now, as the API server has it do
// every five minutes.
func (s *serverProcess) compact(t *testing.T) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.flag(t, "etcd-certfile"), s.flag(t, "etcd-keyfile"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(s.flag(t, "etcd-cafile"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	etcd := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}}}
	call := func(path, body string, answer any) {
		response, err := etcd.Post(s.flag(t, "etcd-servers")+path, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("etcd answers %s: %s, %v", response.Status, raw, err)
		}
		if err := json.Unmarshal(raw, answer); err != nil {
			t.Fatal(err)
		}
	}
	var now struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	call("/v3/kv/range", `{"key":"AA=="}`, &now)
	call("/v3/kv/compaction", `{"revision":"`+now.Header.Revision+`","physical":true}`, &struct{}{})
}

// pollAll polls each group in a goroutine of its own.
func pollAll(t *testing.T, e watchedExecutor, handles []executor.Handle) []chan error {
	polled := make([]chan error, len(handles))
	for i, handle := range handles {
		polled[i] = make(chan error, 1)
		go func() {
			outcome, err := e.Poll(t.Context(), handle)
			if err == nil && outcome.Reason != v1alpha1.ReasonOOMKilled {
				err = fmt.Errorf("%w: ended as %s", errUnexpected, outcome.Reason)
			}
			polled[i] <- err
		}()
	}
	return polled
}

// cancelAll plays the operator: each group finishes as Cancelled.
func cancelAll(t *testing.T, c client.Client, handles []executor.Handle) {
	t.Helper()
	now := metav1.Now()
	each(t, len(handles), func(ctx context.Context, i int) error {
		var tg v1alpha1.TaskGroup
		if err := c.Get(ctx, client.ObjectKey{Namespace: handles[i].Namespace, Name: handles[i].Name}, &tg); err != nil {
			return err
		}
		tg.Status.Conditions = []metav1.Condition{
			{Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonCancelled), LastTransitionTime: now},
			{Type: string(v1alpha1.ConditionFinished), Status: metav1.ConditionTrue, Reason: string(v1alpha1.ReasonCancelled), LastTransitionTime: now},
		}
		return c.Status().Update(ctx, &tg)
	})
}

func deleteAll(t *testing.T, c client.Client, handles []executor.Handle) {
	t.Helper()
	each(t, len(handles), func(ctx context.Context, i int) error {
		return c.Delete(ctx, &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: handles[i].Namespace, Name: handles[i].Name}})
	})
}

// wantOutcomes waits for polls whose groups finished in thirds: failed, cancelled, deleted.
func wantOutcomes(t *testing.T, polled []chan error) {
	t.Helper()
	third := len(polled) / 3
	for i := range polled {
		err := <-polled[i]
		if i < third && err != nil || i >= third && !cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) {
			t.Errorf("group %d of %d: %v", i, len(polled), err)
		}
	}
}

// namespaceOf makes a namespace, so that a list has the groups of one test alone.
func namespaceOf(t *testing.T, own *rig.Cluster, name string) string {
	t.Helper()
	if err := own.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	return name
}

// killedServer kills the API server's process while 201 groups are polled. While it is
// away, a cancel and a receive report it in their time. When it is back, every poll has
// its end.
func killedServer(t *testing.T, own *rig.Cluster, server *serverProcess) {
	const n = 201
	e := executorOf(t, own.Config, namespaceOf(t, own, "restarted"), restartAgent)
	handles := sendAll(t, e, "restarted", n+1)
	// This one's end reports that the watch runs.
	endAll(t, own.Client, handles[n:])
	polled := pollAll(t, e, handles)
	if err := <-polled[n]; err != nil {
		t.Fatal(err)
	}
	handles, polled = handles[:n], polled[:n]
	server.kill(t)
	begin := time.Now()
	cancelled, err := e.Cancel(t.Context(), contract.TaskMetadata{DispatchID: "restarted", NodeID: 0}, &handles[0])
	if cancelled || !cmp.Equal(err, executor.ErrUnavailable, cmpopts.EquateErrors()) || time.Since(begin) > 15*time.Second {
		t.Errorf("cancelled without an API server: %t, %v after %s", cancelled, err, time.Since(begin))
	}
	begin = time.Now()
	_, _, metadata := group("restarted", 0)
	_, err = e.Receive(t.Context(), metadata, &executor.Outcome{Handle: handles[0]})
	if !cmp.Equal(err, executor.ErrUnavailable, cmpopts.EquateErrors()) || time.Since(begin) > 15*time.Second {
		t.Errorf("received without an API server: %v after %s", err, time.Since(begin))
	}
	for i := range polled {
		if len(polled[i]) > 0 {
			t.Fatalf("group %d's poll ended while nobody could tell: %v", i, <-polled[i])
		}
	}
	server.start(t)
	endAll(t, own.Client, handles[:n/3])
	cancelAll(t, own.Client, handles[n/3:n*2/3])
	deleteAll(t, own.Client, handles[n*2/3:])
	wantOutcomes(t, polled)
}

// compactedServer is the same where the executor comes back late: by then groups have
// ended and gone, the API server has begun again, and etcd has forgotten what was
// between. The watch cannot continue at its version (410 Gone), and lists once.
func compactedServer(t *testing.T, own *rig.Cluster, server *serverProcess) {
	const n = 30
	wire, config := cuttable(t, own)
	e := executorOf(t, config, namespaceOf(t, own, "compacted"), compactionAgent)
	handles := sendAll(t, e, "compacted", n+1)
	endAll(t, own.Client, handles[n:])
	polled := pollAll(t, e, handles)
	if err := <-polled[n]; err != nil {
		t.Fatal(err)
	}
	handles, polled = handles[:n], polled[:n]
	wire.set(true)
	endAll(t, own.Client, handles[:n/3])
	cancelAll(t, own.Client, handles[n/3:n*2/3])
	deleteAll(t, own.Client, handles[n*2/3:])
	server.kill(t)
	server.compact(t)
	server.start(t)
	wire.set(false)
	wantOutcomes(t, polled)
}

// wantLists waits for the audit log to have a client's last watch, and holds its
// requests against what a break may take: so many lists, and no group is read.
func wantLists(t *testing.T, own *rig.Cluster, agent string, most int) {
	t.Helper()
	ended := time.Now()
	var lists, gets, watches int
	err := rig.Await(t.Context(), "the end of the watch in the audit log", func(context.Context) (bool, string, error) {
		requests, err := own.Requests()
		lists, gets, watches = 0, 0, 0
		last := false
		for i := range requests {
			r := &requests[i]
			if r.UserAgent != agent || !r.Succeeded() && r.Response.Code != http.StatusNotFound {
				continue
			}
			switch {
			case r.Verb == "list", r.Verb == "watch" && strings.Contains(r.URI, "sendInitialEvents=true"):
				lists++
			case r.Verb == "get":
				gets++
			}
			if r.Verb == "watch" {
				watches++
				// The cluster was closed a moment before.
				last = last || r.Answered.After(ended.Add(-10*time.Second))
			}
		}
		return last, fmt.Sprintf("%d watches", watches), err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d lists, %d gets, %d watches", agent, lists, gets, watches)
	if lists == 0 || lists > most || gets > 0 {
		t.Errorf("%s: %d lists, at most are %d, and %d gets", agent, lists, most, gets)
	}
}

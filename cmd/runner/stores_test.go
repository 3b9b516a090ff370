// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// canary is a secret that must not be seen anywhere.
const canary = "hunter2CANARY"

// httpPod is a pod that reads one object and leaves everything in a store.
func httpPod(t *testing.T, script string) (*faulty.Store, *pod) {
	t.Helper()
	server := faulty.New(t)
	server.Set("/in", []byte("from the store"))
	task := shell(1, script)
	task.Args = []contract.NodeID{9}
	p := newPod(t, task)
	p.plan.Inputs[9] = strings.Replace(server.URL, "://", "://user:"+canary+"@", 1) + "/in?X-Amz-Signature=" + canary
	p.plan.Outputs = server.URL + "/out"
	p.env["TASKGROUP_STORE_RETRY_SECONDS"], p.env["TASKGROUP_STORE_STALL_SECONDS"] = "2", "0.2"
	return server, p
}

func TestObjectsOfAnHTTPStore(t *testing.T) {
	server, p := httpPod(t, `cat "$TASKGROUP_INPUT_9" | tee "$TASKGROUP_OUTPUT"`)
	server.Fail("GET", "/in", faulty.Status(503), faulty.Truncate(4))
	server.Fail("PUT", "/out/1/output", faulty.Reset)
	server.Fail("PUT", "/out/manifest.json", faulty.LoseAnswer)
	p.runStored(server).expect(0, "C")
	for path, want := range map[string]string{"/out/1/output": "from the store", "/out/1/stdout": "from the store", "/out/1/stderr": ""} {
		if got := server.Get(path); got == nil || string(got) != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	if got := server.Requests(); !slices.Contains(got, "GET /in?X-Amz-Signature="+canary) {
		t.Errorf("requested %q", got)
	}
}

// TestS3StoreThatStartsLate has the first second of a pod in a mesh: no connection is
// accepted yet.
func TestS3StoreThatStartsLate(t *testing.T) {
	server := faulty.NewLate(t, time.Second)
	s3server.SetEnv(t, server.URL)
	server.Set("/bucket/in", []byte("from the store"))
	server.Fail("PUT", "/bucket/out/1/output", faulty.Reset)
	server.Fail("PUT", "/bucket/out/manifest.json", faulty.LoseAnswer)
	task := shell(1, `cat "$TASKGROUP_INPUT_9" > "$TASKGROUP_OUTPUT"`)
	task.Args = []contract.NodeID{9}
	p := newPod(t, task)
	p.plan.Inputs[9], p.plan.Outputs = "s3://bucket/in", "s3://bucket/out"
	maps.Copy(p.env, map[string]string{
		"AWS_ENDPOINT_URL_S3": server.URL, "AWS_ACCESS_KEY_ID": s3server.AccessKey, "AWS_SECRET_ACCESS_KEY": s3server.SecretKey, "TASKGROUP_STORE_RETRY_SECONDS": "30",
	})
	p.run().expect(0, "C")
	if got := string(server.Get("/bucket/out/1/output")); got != "from the store" {
		t.Errorf("the output is %q", got)
	}
}

func TestFaultsOfAStore(t *testing.T) {
	forever := func(f faulty.Fault) []faulty.Fault { return slices.Repeat([]faulty.Fault{f}, 50) }
	tests := map[string]struct {
		method, path string
		faults       []faulty.Fault
		reason       contract.Reason
		// retry is empty if the reason decides.
		retry   contract.RetryClass
		message string
	}{
		"an expired URL": {"GET", "/in", forever(faulty.Status(403)), contract.ReasonInputUnavailable, "",
			"/in?REDACTED: 403 Forbidden: a signed URL may have expired, or be of another method"},
		"an input that stalls": {"GET", "/in", forever(faulty.Stall(1)), contract.ReasonInputUnavailable, contract.RetryInfrastructure,
			"/in?REDACTED: the transfer stalled: "},
		"an input of a server that is down": {"GET", "/in", forever(faulty.Status(503)), contract.ReasonInputUnavailable, contract.RetryInfrastructure,
			"/in?REDACTED: 503 Service Unavailable (gave up after "},
		"a circle": {"GET", "/in", forever(faulty.Redirect("/in")), contract.ReasonInputUnavailable, "",
			"/in?REDACTED: redirect refused: more than 5 in a row"},
		"a store that takes no output": {"PUT", "/out/1/stdout", forever(faulty.Status(403)), contract.ReasonOutputUploadFailed, contract.RetryNever,
			"/out/1/stdout: 403 Forbidden"},
		"a store that is down": {"PUT", "/out/1/stdout", forever(faulty.Status(503)), contract.ReasonOutputUploadFailed, "",
			"/out/1/stdout: 503 Service Unavailable (gave up after "},
		"a store that takes nothing": {"PUT", "/out/started.json", forever(faulty.Status(403)), contract.ReasonOutputUploadFailed, contract.RetryNever,
			"the output location cannot be written: SERVER/out/started.json: 403 Forbidden"},
		"a store that is down from the start": {"PUT", "/out/started.json", forever(faulty.Status(503)), contract.ReasonOutputUploadFailed, "",
			"the output location cannot be written: SERVER/out/started.json: 503 Service Unavailable (gave up after "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, p := httpPod(t, "true")
			server.Fail(test.method, test.path, test.faults...)
			failure := p.runStored(server).expect(1, "F").message.Failure
			want := strings.ReplaceAll(test.message, "SERVER", server.URL)
			if failure.Reason != test.reason || failure.Retry != test.retry || !strings.Contains(failure.Message, want) {
				t.Errorf("failure %+v", failure)
			}
		})
	}
}

func TestStoreThatReplacesWhatIsCommitted(t *testing.T) {
	server, p := httpPod(t, "echo never")
	server.IgnoreIfNoneMatch()
	e := p.runStored(server).expect(1, "F")
	failure := e.message.Failure
	if failure.Reason != contract.ReasonOutputUploadFailed || failure.Retry != contract.RetryNever || !strings.Contains(failure.Message, "the store ignores If-None-Match: *") {
		t.Errorf("failure %+v", failure)
	}
	if e.stdout != "" {
		t.Errorf("the work was begun: %q", e.stdout)
	}
}

func TestOutputsWithASecret(t *testing.T) {
	for _, outputs := range []string{"https://user:" + canary + "@h/out", "https://h/out?sig=" + canary} {
		p := newPod(t, command(1, "true"))
		p.plan.Outputs = outputs
		out, err := p.command().CombinedOutput()
		if err == nil || !strings.Contains(string(out), "outputs with a user, a password or a query") || strings.Contains(string(out), canary) {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// runStored runs a pod whose manifest is in a store, and looks for the canary
// in all that it left.
func (p *pod) runStored(server *faulty.Store) *ended {
	p.t.Helper()
	e := p.run()
	termination, err := os.ReadFile(p.env["TASKGROUP_TERMINATION_LOG"])
	if err != nil {
		p.t.Fatal(err)
	}
	left := map[string]string{
		"log": e.stdout + e.stderr, "termination message": string(termination), "manifest": string(server.Get("/out/manifest.json")),
		"error": string(server.Get("/out/1/error")),
	}
	for name, text := range left {
		if strings.Contains(text, canary) {
			p.t.Errorf("the %s has the secret: %s", name, text)
		}
	}
	return e
}

func TestPodThatEndsWhileTheStoreIsDown(t *testing.T) {
	server, p := httpPod(t, "true")
	asked := make(chan struct{}, 100)
	down := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, name := range []string{"1/stdout", "1/stderr", "1/error", "manifest.json"} {
		server.Fail("PUT", "/out/"+name, slices.Repeat([]faulty.Fault{down}, 100)...)
	}
	p.env["TASKGROUP_STORE_RETRY_SECONDS"], p.env["TASKGROUP_GRACE_SECONDS"] = "60", "2"
	runner := p.command()
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := runner.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	terminated := time.Now()
	e := p.collect(runner.Wait(), "", "")
	if took := time.Since(terminated); took > 2*time.Second {
		t.Errorf("took %s of the 2 s that the pod had", took)
	}
	if failure := e.message.Failure; failure == nil || failure.Reason != contract.ReasonOutputUploadFailed || !strings.Contains(failure.Message, "the pod ends") {
		t.Errorf("failure %+v", failure)
	}
}

// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
)

// TestRead: the log is in the order of the answers, and has a line for the
// beginning of what takes long.
func TestRead(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.log")
	lines := []string{
		`{"stage":"ResponseComplete","verb":"patch","requestURI":"/apis/x","user":{"username":"b"},"objectRef":{"resource":"taskgroups","subresource":"status","namespace":"n","name":"g"},"responseStatus":{"code":409},"requestReceivedTimestamp":"2026-11-23T12:00:02.000001Z"}`,
		`{"stage":"ResponseStarted","verb":"watch","requestURI":"/x","user":{"username":"b"},"objectRef":{"resource":"pods"},"requestReceivedTimestamp":"2026-11-23T12:00:01.000000Z"}`,
		`{"stage":"ResponseComplete","verb":"deletecollection","requestURI":"/apis/batch/v1/namespaces/n/jobs?labelSelector=a%3Db","user":{"username":"a"},"objectRef":{"resource":"jobs","namespace":"n"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-23T12:00:02.000000Z","stageTimestamp":"2026-11-23T12:00:03.000000Z","annotations":{"authorization.k8s.io/decision":"allow"}}`,
	}
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := audit.Read(log)
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != 2 || read[0].Verb != "patch" {
		t.Fatalf("read %+v", read)
	}
	got := audit.ByArrival(read)
	at := time.Date(2026, 11, 23, 12, 0, 2, 0, time.UTC)
	want := []audit.Request{
		{
			Verb: "deletecollection", URI: "/apis/batch/v1/namespaces/n/jobs?labelSelector=a%3Db", Stage: "ResponseComplete", Received: at, Answered: at.Add(time.Second),
			Object: audit.Object{Resource: "jobs", Namespace: "n"}, Annotations: map[string]string{"authorization.k8s.io/decision": "allow"},
		},
		{
			Verb: "patch", URI: "/apis/x", Stage: "ResponseComplete", Received: at.Add(time.Microsecond),
			Object: audit.Object{Resource: "taskgroups", Subresource: "status", Namespace: "n", Name: "g"},
		},
	}
	want[0].User.Username, want[0].Response.Code = "a", 200
	want[1].User.Username, want[1].Response.Code = "b", 409
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !got[0].Succeeded() || got[1].Succeeded() || !got[0].Writes() || got[0].Unauthorized() {
		t.Error("the requests are misread")
	}
	if !got[0].Selects(map[string]string{"a": "b"}) || got[0].Selects(map[string]string{"a": "c"}) {
		t.Error("the selector is misread")
	}
}

package invariants_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
)

// TestReadRequests: the log is in the order of the answers, and has requests for
// no resource, such as those for health.
func TestReadRequests(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.log")
	lines := []string{
		`{"stage":"ResponseComplete","verb":"patch","requestURI":"/apis/x","user":{"username":"b"},"objectRef":{"resource":"taskgroups","subresource":"status","namespace":"n","name":"g"},"responseStatus":{"code":409},"requestReceivedTimestamp":"2026-11-23T12:00:02.000001Z"}`,
		`{"stage":"ResponseComplete","verb":"get","requestURI":"/healthz","user":{"username":"kubelet"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-23T12:00:01.000000Z"}`,
		`{"stage":"ResponseStarted","verb":"watch","requestURI":"/x","user":{"username":"b"},"objectRef":{"resource":"pods"},"requestReceivedTimestamp":"2026-11-23T12:00:01.000000Z"}`,
		`{"stage":"ResponseComplete","verb":"delete","requestURI":"/apis/batch/v1/namespaces/n/jobs?labelSelector=a%3Db","user":{"username":"a"},"objectRef":{"resource":"jobs","namespace":"n","name":"j"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-23T12:00:02.000000Z"}`,
	}
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := invariants.ReadRequests(log)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 2, 0, time.UTC)
	want := []invariants.Request{
		{User: "a", Verb: "delete", Resource: "jobs", Namespace: "n", Name: "j", Selector: "a=b", Code: 200, At: at},
		{User: "b", Verb: "patch", Resource: "taskgroups", Subresource: "status", Namespace: "n", Name: "g", Code: 409, At: at.Add(time.Microsecond)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

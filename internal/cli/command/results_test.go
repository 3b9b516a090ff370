// SPDX-License-Identifier: Apache-2.0

package command

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// TestResultsFromAStore lists, downloads and shows what is in a real store.
func TestResultsFromAStore(t *testing.T) {
	for name, serve := range map[string]func(*testing.T) (place, folder string){
		"s3": func(t *testing.T) (string, string) {
			server := s3server.Start(t, "127.0.0.1")
			s3server.SetEnv(t, server.Endpoint)
			return "s3://bucket", server.Bucket
		},
		"http": func(t *testing.T) (string, string) {
			folder := t.TempDir()
			server := httptest.NewServer(http.FileServer(http.Dir(folder)))
			t.Cleanup(server.Close)
			return server.URL, folder
		},
	} {
		t.Run(name, func(t *testing.T) {
			place, folder := serve(t)
			tg := storedIn(t, place, folder)
			b := newBench(t, tg)
			b.want(exitDone, "results", "g")
			golden(t, "results.txt", b.out.String())
			downloads := t.TempDir()
			// Twice, since what exists already is not fetched again.
			for range 2 {
				b.want(exitDone, "results", "g", "--download", downloads)
			}
			for path, want := range map[string]string{"0/output": "result", "1/stdout": "out\n", "1/stderr": ""} {
				if got, err := os.ReadFile(filepath.Join(downloads, path)); err != nil || string(got) != want {
					t.Errorf("%s is %q, %v; want %q", path, got, err, want)
				}
			}
			b.want(exitDone, "logs", "g", "--task", "1")
			if got := b.out.String(); got != "==> task 1: stdout <==\nout\n" {
				t.Errorf("the log is %q", got)
			}
			// An object is changed, and the manifest is removed.
			output := filepath.Join(folder, strings.TrimPrefix(tg.Status.Manifest.URI, place), "..", "1", "output")
			if err := os.WriteFile(output, []byte("forged"), 0o600); err != nil {
				t.Fatal(err)
			}
			b.want(exitFailed, "results", "g", "--download", t.TempDir())
			if !strings.Contains(b.err.String(), "digest") {
				t.Errorf("a forged object: %s", b.err.String())
			}
			if err := os.Remove(filepath.Join(folder, strings.TrimPrefix(tg.Status.Manifest.URI, place))); err != nil {
				t.Fatal(err)
			}
			b.want(exitFailed, "results", "g")
			if said := b.err.String(); !strings.Contains(said, "manifest") || strings.Contains(said, s3server.SecretKey) {
				t.Errorf("a manifest that is gone: %s", said)
			}
		})
	}
}

// TestResultsThatNobodySaw has a pod that no longer existed before its end was read: it may have
// left a manifest or none.
func TestResultsThatNobodySaw(t *testing.T) {
	folder := t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer server.Close()
	tg := storedIn(t, server.URL, folder)
	tg.Status.Manifest.SHA256 = ""
	meta.SetStatusCondition(&tg.Status.Conditions, metav1.Condition{
		Type: string(v1alpha1.ConditionSucceeded), Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonCancelled), Message: "Its Job was deleted",
	})
	b := newBench(t, tg)
	b.want(exitDone, "results", "g")
	golden(t, "results.txt", b.out.String())
	if err := os.Remove(filepath.Join(folder, strings.TrimPrefix(tg.Status.Manifest.URI, server.URL))); err != nil {
		t.Fatal(err)
	}
	b.want(exitDone, "results", "g")
	if said := b.err.String(); !strings.Contains(said, "it ended before a manifest was committed") {
		t.Errorf("it said %q", said)
	}
}

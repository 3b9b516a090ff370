// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestOpenBucket requires that the log reports what the gateway does not do, and why the bucket
// refuses it.
func TestOpenBucket(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer server.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL)
	options, err := parseOptions([]string{"--bucket=gs://bucket/prefix", "--upload-dir=" + t.TempDir()}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	stored, err := openStorage(options, slog.New(slog.NewJSONHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if stored.volume != nil || stored.usage != nil {
		t.Error("a bucket has no garbage collection and no quotas")
	}
	for _, loop := range stored.loops {
		loop(t.Context())
	}
	if stored.check() == nil {
		t.Error("the bucket is reported as available")
	}
	for _, want := range []string{"needs a lifecycle rule", "gs://bucket/prefix", "refuses the credentials", "403"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log %s has no %q", out.String(), want)
		}
	}
	if err := stored.close(); err != nil {
		t.Error(err)
	}
}

// TestAuthorities requires authorities in an image without files. The process reads those of
// the system once, so that it has to be another one.
func TestAuthorities(t *testing.T) {
	const child = "TASKGROUP_TEST_AUTHORITIES"
	if os.Getenv(child) != "" {
		if pool, err := x509.SystemCertPool(); err != nil || pool.Equal(x509.NewCertPool()) {
			t.Errorf("no authorities, error %v", err)
		}
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "-test.run=^TestAuthorities$")
	command.Env = []string{child + "=1", "SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent"}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOpenVolume(t *testing.T) {
	options, err := parseOptions([]string{"--volume=" + t.TempDir()}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := openStorage(options, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if stored.volume == nil || stored.check() != nil || stored.usage() == nil {
		t.Error("the volume is not ready")
	}
	if err := stored.close(); err != nil {
		t.Error(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package s3server starts a real S3 server, versitygw, for tests. It keeps a bucket
// as a folder, so that a test can put objects and look at them as files.
package s3server

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
)

// ProgramEnv names the server's program. Tests that need it are skipped where it is
// not set.
const ProgramEnv = "TASKGROUP_TEST_S3_SERVER"

// The server's only account. The secret is one that no log and no message may hold.
const (
	AccessKey = "AKIATEST"
	SecretKey = "hunter2CANARY"
)

// timeout is how long a server may take until it serves.
const timeout = 20 * time.Second

// Server is one that serves until the test's end.
type Server struct {
	// Endpoint is its URL.
	Endpoint string
	// Bucket is the folder of the bucket that is called "bucket".
	Bucket string
}

// Start starts a server on a port of its own at an address of this machine, such as
// 127.0.0.1, or skips the test.
func Start(t *testing.T, host string) *Server {
	t.Helper()
	program := os.Getenv(ProgramEnv)
	if program == "" {
		t.Skip(ProgramEnv + " names no S3 server: bin/cluster build --s3-server makes one")
	}
	root := t.TempDir()
	bucket := filepath.Join(root, "bucket")
	if err := os.Mkdir(bucket, 0o755); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t, host)
	server := exec.Command(program, "--quiet", "--port", address, "posix", root) //nolint:gosec // who runs the tests names the program
	server.Env = []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey, "HOME=" + root}
	// It ends with the test, even when the test is killed.
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-ended
	})
	await(t, address, ended)
	return &Server{Endpoint: "http://" + address, Bucket: bucket}
}

// SetEnv makes the test's environment that of a pod with the server's account, and
// nothing of this machine's.
func SetEnv(t *testing.T, endpoint string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"AWS_REGION": "", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
}

func freeAddress(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// await waits until the server takes connections.
func await(t *testing.T, address string, ended <-chan struct{}) {
	t.Helper()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	late := time.After(timeout)
	for {
		if connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			connection.Close()
			return
		}
		select {
		case <-pause.C:
		case <-ended:
			t.Fatal("the S3 server ended")
		case <-late:
			t.Fatal("the S3 server does not take connections")
		}
	}
}

// Sign returns the signed URLs of a group's permissions as its Secret has them,
// signed with the credentials of the test's environment.
func Sign(t *testing.T, uid, place, endpoint string, lifetime time.Duration, permissions ...contract.Permission) []byte {
	t.Helper()
	urls, until, err := (&s3.Signer{}).Sign(t.Context(), endpoint, lifetime, permissions)
	if err != nil {
		t.Fatal(err)
	}
	all := contract.NewSignedURLs(uid, place, until)
	for i, p := range permissions {
		if err := all.Add(p, urls[i]); err != nil {
			t.Fatal(err)
		}
	}
	packed, err := all.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

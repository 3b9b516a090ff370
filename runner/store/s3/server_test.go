package s3_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/runner/store"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store/s3"
)

// serverEnv names the program of an S3 server, versitygw, for these tests.
const serverEnv = "TASKGROUP_TEST_S3_SERVER"

const (
	accessKey = "AKIATEST"
	secretKey = "hunter2CANARY"
)

// stores look for their configuration where a pod has it.
func stores() *store.Stores {
	s := store.New(map[string]store.Backend{"s3": &s3.Store{}})
	s.Patience = 2 * time.Second
	return s
}

// environment is that of a pod, and nothing of this machine's.
func environment(t *testing.T, endpoint string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
		"AWS_REGION": "", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
}

// serve starts a server with a bucket on the loopback interface, and returns
// the bucket's directory, or skips.
func serve(t *testing.T) string {
	t.Helper()
	program := os.Getenv(serverEnv)
	if program == "" {
		t.Skip(serverEnv + " names no S3 server: bin/cluster build --s3-server makes one")
	}
	root := t.TempDir()
	bucket := filepath.Join(root, "bucket")
	if err := os.Mkdir(bucket, 0o755); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	server := exec.Command(program, "--quiet", "--port", address, "posix", root)
	server.Env = []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey, "HOME=" + root}
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
	environment(t, "http://"+address)
	return bucket
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// await waits until the server takes connections.
func await(t *testing.T, address string, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var dialer net.Dialer
	for pause := time.NewTicker(20 * time.Millisecond); ; {
		if connection, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			connection.Close()
			pause.Stop()
			return
		}
		select {
		case <-pause.C:
		case <-ended:
			t.Fatal("the server ended")
		case <-ctx.Done():
			t.Fatal("the server does not take connections")
		}
	}
}

// zeros is a stream of a size that can be read again.
func zeros(size int64) io.ReadSeeker { return io.NewSectionReader(zero{}, 0, size) }

type zero struct{}

func (zero) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

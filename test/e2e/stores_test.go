//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// serverEnv names the program of an S3 server, versitygw.
const serverEnv = "TASKGROUP_TEST_S3_SERVER"

const (
	accessKey = "AKIATEST"
	secretKey = "hunter2CANARY"
)

// TestObjectStore keeps a group's inputs and results in an S3 server that the
// pods reach over the network, with credentials from a Secret. What goes wrong
// there is told without them (invariant I29).
func TestObjectStore(t *testing.T) {
	t.Parallel()
	bucket, endpoint := serveS3(t)
	if err := os.MkdirAll(filepath.Join(bucket, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bucket, "in", "grüße an alle"), []byte("from the store"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s3"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey},
	}
	if err := cluster.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	onS3 := func(name, input string) *v1alpha1.TaskGroup {
		tg := commandGroup(name, "sh", "-c", `cat "$TASKGROUP_INPUT_10" | tee "$TASKGROUP_OUTPUT"`)
		tg.Spec.Tasks[0].Args = []v1alpha1.NodeID{10}
		tg.Spec.Assets = &v1alpha1.Assets{Inputs: v1alpha1.AssetURIs{"10": v1alpha1.AssetURI(input)}, Outputs: "s3://bucket/results"}
		tg.Spec.Pod.Env = []corev1.EnvVar{envVar("AWS_ENDPOINT_URL_S3", endpoint), envVar("AWS_REGION", "us-east-1")}
		tg.Spec.Pod.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "s3"},
		}}}
		return tg
	}
	right := create(t, onS3("s3-right", "s3://bucket/in/grüße an alle"))
	wrong := create(t, onS3("s3-wrong", "s3://bucket/in/nowhere"))

	tg := awaitReason(t, right, v1alpha1.ReasonCompleted)
	read := func(uri, digest string) []byte {
		raw, err := os.ReadFile(filepath.Join(bucket, strings.TrimPrefix(uri, "s3://bucket")))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != digest {
			t.Errorf("%s is not what its digest says", uri)
		}
		return raw
	}
	m, err := contract.DecodeManifest(read(tg.Status.Manifest.URI, tg.Status.Manifest.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []contract.AssetKey{contract.AssetOutput, contract.AssetStdout} {
		asset := m.Tasks[0].Assets[key]
		if got := string(read(asset.URI, asset.SHA256)); got != "from the store" {
			t.Errorf("%s is %q", key, got)
		}
	}
	tg = awaitReason(t, wrong, v1alpha1.ReasonInputUnavailable)
	if got := messageOf(tg); !strings.Contains(got, "s3://bucket/in/nowhere") || strings.Contains(got, secretKey) || strings.Contains(got, accessKey) {
		t.Errorf("message is %q", got)
	}
}

// serveS3 starts a server with a bucket where the pods reach it, and returns the bucket's folder and the server's address, or skips.
func serveS3(t *testing.T) (bucket, endpoint string) {
	t.Helper()
	program := os.Getenv(serverEnv)
	if program == "" {
		t.Skip(serverEnv + " names no S3 server: bin/cluster build --s3-server makes one")
	}
	root := t.TempDir()
	bucket = filepath.Join(root, "bucket")
	if err := os.Mkdir(bucket, 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(cluster.HostIP, "0"))
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--quiet", "--port", address, "posix", root)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey, "HOME=" + root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	err = rig.Await(t.Context(), "the S3 server", func(ctx context.Context) (bool, string, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil, fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket, "http://" + address
}

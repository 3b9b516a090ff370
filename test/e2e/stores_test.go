// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// TestObjectStore keeps a group's inputs and results in an S3 server that the
// pods reach over the network, with credentials from a Secret. What goes wrong
// there is reported without them (invariant I29).
func TestObjectStore(t *testing.T) {
	t.Parallel()
	if cluster.HostIP == "" {
		t.Skip("pods do not reach this machine: " + rig.HostVariable + " has its address")
	}
	server := s3server.Start(t, cluster.HostIP)
	bucket, endpoint := server.Bucket, server.Endpoint
	if err := os.MkdirAll(filepath.Join(bucket, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bucket, "in", "grüße an alle"), []byte("from the store"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s3"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": s3server.AccessKey, "AWS_SECRET_ACCESS_KEY": s3server.SecretKey},
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
	if got := messageOf(tg); !strings.Contains(got, "s3://bucket/in/nowhere") || strings.Contains(got, s3server.SecretKey) || strings.Contains(got, s3server.AccessKey) {
		t.Errorf("message is %q", got)
	}
}

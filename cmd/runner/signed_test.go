// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// signFor writes the URLs of a pod's group, for two attempts, as a Secret's volume
// has them: a link to a file in a folder that is a link too.
func signFor(t *testing.T, p *pod, nodes ...contract.NodeID) string {
	t.Helper()
	permissions := []contract.Permission{{Access: contract.AccessGet, URI: p.plan.Inputs[9]}}
	for attempt := range int32(2) {
		at := contract.AttemptURI("s3://bucket/out", p.plan.UID, attempt+1)
		for _, access := range []contract.Access{contract.AccessGet, contract.AccessCreate} {
			permissions = append(permissions, contract.Permission{Access: access, URI: contract.ManifestURI(at)})
		}
		permissions = append(permissions, contract.Permission{Access: contract.AccessCreate, URI: contract.StartMarkerURI(at)})
		for _, node := range nodes {
			for _, key := range []contract.AssetKey{contract.AssetOutput, contract.AssetStdout, contract.AssetStderr, contract.AssetError} {
				permissions = append(permissions, contract.Permission{Access: contract.AccessPut, URI: contract.AssetURI(at, node, key)})
			}
			permissions = append(permissions, contract.Permission{Access: contract.AccessGet, URI: contract.AssetURI(at, node, contract.AssetOutput)},
				contract.Permission{Access: contract.AccessCreate, URI: contract.CheckpointURI(at, int(node))})
		}
	}
	packed := s3server.Sign(t, p.plan.UID, "s3://bucket/out/"+p.plan.UID, "", time.Hour, permissions...)
	volume := filepath.Join(t.TempDir(), "volume")
	if err := os.MkdirAll(filepath.Join(volume, "..2026_11_23"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(volume, "..2026_11_23", contract.SignedURLsKey), packed, 0o440),
		os.Symlink("..2026_11_23", filepath.Join(volume, "..data")),
		os.Symlink(filepath.Join("..data", contract.SignedURLsKey), filepath.Join(volume, contract.SignedURLsKey)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(volume, contract.SignedURLsKey)
}

// TestSignedPod has an input, two tasks and a second attempt in a real S3 server, and
// nothing but signed URLs.
func TestSignedPod(t *testing.T) {
	server := s3server.Start(t, "127.0.0.1")
	s3server.SetEnv(t, server.Endpoint)
	if err := os.WriteFile(filepath.Join(server.Bucket, "in"), []byte("from the store"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := newPod(t, reading(shell(1, `echo 1 >> "$DIR/ran"; cat "$TASKGROUP_INPUT_9" > "$TASKGROUP_OUTPUT"; echo said`), 9),
		reading(shell(2, `cat "$TASKGROUP_INPUT_1"; env; test -e "$DIR/second"`), 1))
	p.plan.Inputs[9] = "s3://bucket/in"
	p.plan.Attempt, p.plan.Outputs = 1, contract.AttemptURI("s3://bucket/out", p.plan.UID, 1)
	p.env["DIR"], p.env["TASKGROUP_SIGNED_URLS"] = dir, signFor(t, p, 1, 2)
	p.env["TASKGROUP_STORE_RETRY_SECONDS"] = "5"
	first := p.run().expect(1, "CF")
	if first.message.ManifestSHA256 == "" {
		t.Fatal("there is no manifest")
	}
	stored := func(key string) string {
		raw, err := os.ReadFile(filepath.Join(server.Bucket, "out", p.plan.UID, key))
		if err != nil {
			t.Error(err)
		}
		return string(raw)
	}
	if stored("a1/1/output") != "from the store" || stored("a1/1/stdout") != "said\n" || !strings.HasPrefix(stored("a1/2/error"), "ExitCode: ") {
		t.Errorf("stored %q, %q, %q", stored("a1/1/output"), stored("a1/1/stdout"), stored("a1/2/error"))
	}
	touch(t, dir+"/second")
	next := p.fresh("attempt-2")
	next.plan.Previous = &contract.ManifestReference{URI: contract.ManifestURI(p.plan.Outputs), SHA256: first.message.ManifestSHA256}
	next.plan.Attempt, next.plan.Outputs = 2, contract.AttemptURI("s3://bucket/out", p.plan.UID, 2)
	second := next.run().expect(0, "CC")
	if ran, _ := os.ReadFile(dir + "/ran"); string(ran) != "1\n" || !strings.HasPrefix(stored("a2/2/stdout"), "from the store") {
		t.Errorf("ran %q, the second read %q", ran, stored("a2/2/stdout"))
	}
	for name, text := range map[string]string{
		"log": first.stdout + first.stderr + second.stdout + second.stderr, "manifest": stored("a1/manifest.json") + stored("a2/manifest.json"),
		"error": stored("a1/2/error"), "environment of a task": stored("a2/2/stdout"),
	} {
		if strings.Contains(text, "X-Amz") || strings.Contains(text, s3server.SecretKey) || strings.Contains(text, s3server.AccessKey) {
			t.Errorf("the %s contains a signature: %s", name, text)
		}
	}
}

// TestSignedPodOfAnotherGroup has the Secret of the group whose spec was copied.
func TestSignedPodOfAnotherGroup(t *testing.T) {
	s3server.SetEnv(t, "http://127.0.0.1:1")
	p := newPod(t, reading(shell(1, "true"), 9))
	p.plan.Inputs[9], p.plan.Outputs = "s3://bucket/in", contract.AttemptURI("s3://bucket/out", p.plan.UID, 2)
	p.env["TASKGROUP_SIGNED_URLS"], p.env["TASKGROUP_STORE_RETRY_SECONDS"] = signFor(t, p, 1), "2"
	p.plan.UID = "uid-2"
	failure := p.run().expect(1, "F").message.Failure
	if failure == nil || failure.Reason != contract.ReasonOutputUploadFailed || !strings.Contains(failure.Message, "the signed URLs are those of another TaskGroup, with UID uid-1") {
		t.Errorf("failure %+v", failure)
	}
}

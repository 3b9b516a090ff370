// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/bucket/buckettest"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestGatewayWithBucket runs a gateway with a bucket of each kind. A dispatcher and a pod
// exchange objects, and another gateway continues after a crash.
func TestGatewayWithBucket(t *testing.T) {
	buckettest.Each(t, func(t *testing.T, f *buckettest.Fixture) {
		flags := []string{"--bucket=" + f.Config.URI, "--upload-dir=" + t.TempDir()}
		g := startGateway(t, flags...)
		own := namespace(t)
		asDispatcher(t, cluster.Config, own)
		dispatcher := accountToken(t, own, dispatcherAccount, contract.GatewayAudience)
		input := gatewayContent(own, "input")
		for _, want := range []int{201, 200} {
			if code, reason, _ := g.do(t, "PUT", input, contract.GatewayTokenHeader, dispatcher, "input"); code != want {
				t.Fatalf("storing an input: %d %s, want %d", code, reason, want)
			}
		}
		pod := runGatewayPod(t, own, "g", input).find(t, 1)
		if code, _, body := g.do(t, "GET", input, "Authorization", pod.token, ""); code != 200 || body != "input" {
			t.Errorf("reading an input: %d %q", code, body)
		}
		data := make([]byte, 20<<20)
		if _, err := rand.Read(data); err != nil {
			t.Fatal(err)
		}
		stores := gatewayStores(t, g.gateway, pod)
		if _, err := stores.Put(t.Context(), pod.result(1, "0/output"), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if raw := f.Read(own + "/groups/" + string(pod.group.UID) + "/a1/0/output"); !bytes.HasSuffix(raw, data) {
			t.Errorf("the bucket has %d bytes of %d", len(raw), len(data))
		}
		g.gateway.Kill()
		address := "127.0.0.1:" + g.gateway.URL[strings.LastIndex(g.gateway.URL, ":")+1:]
		next, err := cluster.StartGateway(t.Context(), rig.GatewayOptions{Address: address, Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Stop()
		path, err := stores.Fetch(t.Context(), pod.result(1, "0/output"), filepath.Join(t.TempDir(), "output"))
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(path); !bytes.Equal(raw, data) || err != nil {
			t.Errorf("%d bytes of %d, error %v", len(raw), len(data), err)
		}
		if code, reason, _ := g.do(t, "PUT", pod.result(1, "0/output"), "Authorization", pod.token, "other"); code != 412 {
			t.Errorf("replacing a result: %d %s", code, reason)
		}
	})
}

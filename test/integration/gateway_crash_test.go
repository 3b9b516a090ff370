// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// gatewayStores are the stores of a pod, with its environment.
func gatewayStores(t *testing.T, g *rig.Gateway, pod *gatewayPod) *store.Stores {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(strings.TrimPrefix(pod.token, "Bearer ")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(contract.GatewayURLEnv, g.URL)
	t.Setenv(contract.GatewayTokenEnv, file)
	t.Setenv(contract.GatewayCAEnv, g.CAFile)
	return store.New(map[string]store.Backend{contract.GatewayScheme: &gateway.Store{}})
}

// TestGatewayCrash kills the gateway during 100 uploads, and again during 100 downloads.
// The clients resume, and no object is lost or partial.
func TestGatewayCrash(t *testing.T) {
	if err := cluster.InstallGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	const transfers = 100
	dir := t.TempDir()
	g, err := cluster.StartGateway(t.Context(), rig.GatewayOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { g.Stop() }()
	address := "127.0.0.1:" + g.URL[strings.LastIndex(g.URL, ":")+1:]
	pod := runGatewayPod(t, namespace(t), "g").find(t, 1)
	stores := gatewayStores(t, g, pod)
	data := make([]byte, 4<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	// object returns the bytes of one of the objects, which all differ.
	object := func(i int) []byte { return data[i : len(data)-transfers+i] }
	// during runs all transfers, and crashes the gateway when some of them are finished.
	during := func(transfer func(i int) error) {
		t.Helper()
		var wg sync.WaitGroup
		var finished atomic.Int32
		some := make(chan struct{})
		for i := range transfers {
			wg.Go(func() {
				if err := transfer(i); err != nil {
					t.Errorf("transfer %d: %v", i, err)
				}
				if finished.Add(1) == transfers/10 {
					close(some)
				}
			})
		}
		<-some
		g.Kill()
		left, err := os.ReadDir(dir + "/temporary")
		if err != nil {
			t.Error(err)
		}
		if g, err = cluster.StartGateway(t.Context(), rig.GatewayOptions{Dir: dir, Address: address}); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed after %d of %d transfers, with %d temporary files", transfers/10, transfers, len(left))
		wg.Wait()
	}
	during(func(i int) error {
		_, err := stores.Put(t.Context(), pod.result(1, strconv.Itoa(i)+"/output"), bytes.NewReader(object(i)))
		return err
	})
	target := t.TempDir()
	during(func(i int) error {
		path, err := stores.Fetch(t.Context(), pod.result(1, strconv.Itoa(i)+"/output"), filepath.Join(target, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		if !bytes.Equal(raw, object(i)) {
			err = errors.Join(err, fmt.Errorf("fetched %d bytes that differ", len(raw)))
		}
		return err
	})
	if left, err := os.ReadDir(dir + "/temporary"); len(left) > 0 || err != nil {
		t.Errorf("temporary files %v, %v", left, err)
	}
}

// TestGatewayWithoutAPIServer interrupts the connection to the API server during 100
// uploads. The clients get no final refusal, and resume.
func TestGatewayWithoutAPIServer(t *testing.T) {
	if err := cluster.InstallGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	g, err := cluster.StartGateway(t.Context(), rig.GatewayOptions{Dir: t.TempDir(), Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	gatewayHTTP, err := g.Client()
	if err != nil {
		t.Fatal(err)
	}
	direct := &gatewayClient{g, gatewayHTTP}
	pod := runGatewayPod(t, namespace(t), "g").find(t, 1)
	stores := gatewayStores(t, g, pod)
	const transfers = 100
	var wg sync.WaitGroup
	var finished atomic.Int32
	some, resumed := make(chan struct{}), make(chan struct{})
	for i := range transfers {
		wg.Go(func() {
			if i >= transfers/2 {
				<-resumed // these begin during the interruption
			}
			if _, err := stores.Put(t.Context(), pod.result(1, strconv.Itoa(i)+"/output"), strings.NewReader(strings.Repeat("x", 1<<20))); err != nil {
				t.Errorf("transfer %d: %v", i, err)
			}
			if finished.Add(1) == transfers/10 {
				close(some)
			}
		})
	}
	<-some
	reconnect := proxy.Disconnect()
	err = rig.Await(t.Context(), "the gateway to need the API server", func(context.Context) (bool, string, error) {
		code, reason, _ := direct.do(t, http.MethodGet, pod.result(1, "none"), "Authorization", pod.token, "")
		if code == http.StatusUnauthorized || code == http.StatusForbidden {
			return false, "", fmt.Errorf("refused without the API server: %d %s", code, reason)
		}
		return reason == contract.GatewayAPIUnavailable, fmt.Sprint(code, " ", reason), nil
	})
	close(resumed)
	reconnect()
	if err != nil {
		t.Error(err)
	}
	wg.Wait()
	for i := range transfers {
		if code, reason, body := direct.do(t, http.MethodGet, pod.result(1, strconv.Itoa(i)+"/output"), "Authorization", pod.token, ""); code != http.StatusOK || len(body) != 1<<20 {
			t.Errorf("object %d: %d %s, %d bytes", i, code, reason, len(body))
		}
	}
}

// numberFrom returns the number in a variable of the environment.
func numberFrom(t *testing.T, variable string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// TestGatewayMemory transfers many objects at the same time: all of them up, then all of
// them down. TASKGROUP_TEST_GATEWAY_SIZE is the size of each, in bytes. A disk may be too
// small for all of them: with TASKGROUP_TEST_GATEWAY_UPLOADS, so many are sent up while the
// others are downloads of one object.
func TestGatewayMemory(t *testing.T) {
	const transfers, limit = 50, 64 << 10
	size := numberFrom(t, "TASKGROUP_TEST_GATEWAY_SIZE", 8<<20)
	uploads := int(numberFrom(t, "TASKGROUP_TEST_GATEWAY_UPLOADS", transfers))
	rounds := [][2]int{{transfers, 0}, {0, transfers}}
	if uploads < transfers {
		rounds = [][2]int{{1, 0}, {uploads, transfers - uploads}}
	}
	g := startGateway(t)
	pod := runGatewayPod(t, namespace(t), "g").find(t, 1)
	send := func(ctx context.Context, method, uri string, body io.Reader) error {
		path, err := contract.GatewayPath(uri)
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, method, g.gateway.URL+path, body)
		if err != nil {
			return err
		}
		if body != nil {
			request.ContentLength = size
		}
		request.Header.Set("Authorization", pod.token)
		answer, err := g.client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode/100 != 2 {
			return errors.New(answer.Status)
		}
		if tag := `"` + hex.EncodeToString(sum.Sum(nil)) + `"`; body == nil && answer.Header.Get("Etag") != tag {
			return fmt.Errorf("the bytes have SHA-256 %s, want %s", tag, answer.Header.Get("Etag"))
		}
		return nil
	}
	stored := 0
	for _, round := range rounds {
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range round[0] {
			wg.Go(func() {
				uri := pod.result(1, strconv.Itoa(stored+i)+"/output")
				if err := send(t.Context(), http.MethodPut, uri, io.LimitReader(rand.Reader, size)); err != nil {
					t.Errorf("uploading %d: %v", i, err)
				}
			})
		}
		for i := range round[1] {
			wg.Go(func() {
				if err := send(t.Context(), http.MethodGet, pod.result(1, strconv.Itoa(i%stored)+"/output"), nil); err != nil {
					t.Errorf("downloading %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		stored += round[0]
		t.Logf("%d uploads and %d downloads of %d MiB took %s", round[0], round[1], size>>20, time.Since(begun).Round(time.Millisecond))
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.gateway.Pid()))
	if err != nil {
		t.Skipf("reading the memory of a process: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		text, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the gateway used %d MiB at most, with %d transfers of %d MiB at a time", kib>>10, transfers, size>>20)
		if kib > limit {
			t.Errorf("the gateway used %d KiB, want at most %d", kib, limit)
		}
	}
}

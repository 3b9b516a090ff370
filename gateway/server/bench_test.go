// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// BenchmarkTransfer measures one connection over TLS, beside the writes of the disk.
func BenchmarkTransfer(b *testing.B) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	dir := b.TempDir()
	objects, err := volume.Open(volume.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = objects.Close() })
	handler, err := server.NewHandler(server.Config{Objects: objects, Reviewer: &reviewer{}, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	gateway := httptest.NewTLSServer(handler)
	b.Cleanup(gateway.Close)
	names := 0
	send := func(b *testing.B, method, name string, body []byte) {
		b.Helper()
		request, err := http.NewRequestWithContext(b.Context(), method, gateway.URL+results+name, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		request.Header = bearer.Clone()
		answer, err := gateway.Client().Do(request)
		if err != nil {
			b.Fatal(err)
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode/100 != 2 {
			b.Fatalf("%s: %s, %v", method, answer.Status, err)
		}
	}
	put := func(b *testing.B, body []byte) string {
		b.Helper()
		names++
		name := strconv.Itoa(names) + "/output"
		send(b, http.MethodPut, name, body)
		return name
	}
	b.Run("PUT of 64 MiB", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			put(b, data)
		}
	})
	b.Run("GET of 64 MiB", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		name := put(b, data)
		for b.Loop() {
			send(b, http.MethodGet, name, nil)
		}
	})
	b.Run("disk, 64 MiB", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			file, err := os.Create(dir + "/file")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := file.Write(data); err != nil {
				b.Fatal(err)
			}
			if err := file.Sync(); err != nil {
				b.Fatal(err)
			}
			_ = file.Close()
		}
	})
	b.Run("PUT of 1 KiB", func(b *testing.B) {
		for b.Loop() {
			put(b, data[:1<<10])
		}
	})
	b.Run("GET of 1 KiB", func(b *testing.B) {
		name := put(b, data[:1<<10])
		for b.Loop() {
			send(b, http.MethodGet, name, nil)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	benchSize  = 1 << 30
	benchLarge = 5 << 30
)

// BenchmarkStaging compares a pod that reads 1 GiB with what a plain program
// does, in turns: cp for a file, a bare Go client for HTTP. The budget is 80 %
// of their speed. A file is not copied at all: the pod's time is the runner's own.
func BenchmarkStaging(b *testing.B) {
	source := filepath.Join(b.TempDir(), "source")
	file, err := os.Create(source)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(file, noise{}, benchSize); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	server := serveFile(b, source)
	dest := filepath.Join(b.TempDir(), "dest")
	arms := map[string]struct {
		uri   string
		plain func() error
	}{
		"file": {"file://" + source, func() error { return exec.Command("cp", source, dest).Run() }},
		"http": {server, func() error { return fetchPlainly(server, dest) }},
	}
	for name, arm := range arms {
		b.Run(name, func(b *testing.B) {
			var plain, pod []float64
			for b.Loop() {
				started := time.Now()
				if err := arm.plain(); err != nil {
					b.Fatal(err)
				}
				plain = append(plain, milliseconds(started))
				_ = os.Remove(dest)
				pod = append(pod, benchReader(b, arm.uri))
			}
			b.ReportMetric(median(plain), "plain-ms")
			b.ReportMetric(median(pod), "pod-ms")
			b.ReportMetric(100*median(plain)/median(pod), "%of-plain-speed")
		})
	}
}

// benchReader times a pod with one task that has one input.
func benchReader(b *testing.B, uri string) float64 {
	b.Helper()
	dir := b.TempDir()
	defer func() { _ = os.RemoveAll(dir) }()
	task := command(1, "true")
	task.Args = []contract.NodeID{0}
	plan := contract.Plan{Version: contract.PlanVersion, UID: "u", Attempt: 1, Inputs: map[contract.NodeID]string{0: uri}, Tasks: []contract.PlanTask{task}}
	program := benchRunner(b, dir, &plan)
	started := time.Now()
	if out, err := program.CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	return milliseconds(started)
}

// BenchmarkUpload sends 5 GiB and reports the speed and the runner's largest
// resident set.
func BenchmarkUpload(b *testing.B) {
	s := newSink(b)
	for name, outputs := range map[string]string{"http": s.url + "/http", "s3": "s3://s3"} {
		b.Run(name, func(b *testing.B) {
			var took, peaks []float64
			for b.Loop() {
				clear(s.size)
				plan := contract.Plan{Version: contract.PlanVersion, UID: "u", Attempt: 1, Outputs: outputs + "/out", Tasks: largePod(benchLarge)}
				program := benchRunner(b, b.TempDir(), &plan)
				program.Env = append(program.Env, "AWS_ENDPOINT_URL_S3="+s.url, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=s")
				started := time.Now()
				out, err := program.CombinedOutput()
				if err != nil {
					b.Fatal(err, string(out))
				}
				took, peaks = append(took, milliseconds(started)), append(peaks, peak(b, string(out)))
			}
			b.ReportMetric(benchLarge/(1<<20)/median(took)*1000, "MiB/s")
			b.ReportMetric(median(peaks), "peak-MiB")
		})
	}
}

// serveFile serves a file as any web server would.
func serveFile(b *testing.B, path string) string {
	b.Helper()
	server := http.Server{Handler: http.FileServer(http.Dir(filepath.Dir(path))), ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + "/" + filepath.Base(path)
}

func fetchPlainly(uri, dest string) error {
	answer, err := http.Get(uri)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	file, err := os.Create(dest)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, answer.Body); err != nil {
		return err
	}
	return file.Close()
}

// noise is data that is not all zeros.
type noise struct{}

func (noise) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i * 7)
	}
	return len(p), nil
}

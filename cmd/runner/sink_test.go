// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// sink is a store, over HTTP and as S3, that keeps what is small and counts
// what is large.
type sink struct {
	url string

	mu    sync.Mutex
	small map[string][]byte
	size  map[string]int64
}

const maxSmall = 1 << 20

func newSink(t testing.TB) *sink {
	t.Helper()
	s := &sink{small: map[string][]byte{}, size: map[string]int64{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, query := r.URL.Path, r.URL.Query()
	switch {
	case r.Method == http.MethodPost && query.Has("uploads"):
		_, _ = fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
	case r.Method == http.MethodPost:
		_, _ = fmt.Fprint(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
	case r.Method == http.MethodGet:
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = w.Write(s.small[path])
	default:
		s.put(w, r, path)
	}
}

func (s *sink) put(w http.ResponseWriter, r *http.Request, path string) {
	s.mu.Lock()
	_, taken := s.size[path]
	s.mu.Unlock()
	if taken && r.Header.Get("If-None-Match") == "*" {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	small, _ := io.ReadAll(io.LimitReader(r.Body, maxSmall))
	rest, _ := io.Copy(io.Discard, r.Body)
	w.Header().Set("Etag", `"part"`)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size[path] += int64(len(small)) + rest
	if rest == 0 {
		s.small[path] = small
	}
}

// largePod is a pod whose first task leaves a large output, which is sparse
// here, and whose second one reports how much memory the runner took.
func largePod(size int64) []contract.PlanTask {
	return []contract.PlanTask{
		shell(1, "truncate -s "+strconv.FormatInt(size, 10)+` "$TASKGROUP_OUTPUT"`),
		shell(2, "grep VmHWM /proc/$PPID/status"),
	}
}

// peak reads what largePod's second task printed, in MiB.
func peak(t testing.TB, log string) float64 {
	t.Helper()
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(log)
	if found == nil {
		t.Fatalf("no peak in %q", log)
	}
	kib, _ := strconv.ParseFloat(found[1], 64)
	return kib / 1024
}

// maxPeak is how much memory the runner may take, in MiB, whatever it moves.
const maxPeak = 32

func TestLargeObjectsTakeLittleMemory(t *testing.T) {
	const size = 1 << 30
	s := newSink(t)
	for name, outputs := range map[string]string{"http": s.url + "/http", "s3": "s3://s3"} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, largePod(size)...)
			p.plan.Outputs = outputs + "/out"
			p.env["AWS_ENDPOINT_URL_S3"], p.env["AWS_ACCESS_KEY_ID"], p.env["AWS_SECRET_ACCESS_KEY"] = s.url, "a", "s"
			out, err := p.command().CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := s.size["/"+name+"/out/1/output"]; got != size {
				t.Errorf("%d bytes arrived", got)
			}
			if got := peak(t, string(out)); got > maxPeak {
				t.Errorf("the runner took %.1f MiB", got)
			} else {
				t.Logf("the runner took %.1f MiB", got)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/faulty"
)

// TestProbe finds out what a server does not allow before there are results to write.
func TestProbe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare   func(*faulty.Store)
		want      string
		permanent bool
		requests  int
	}{
		"a new location":                 {func(*faulty.Store) {}, "", false, 2},
		"a retry of this pod":            {func(s *faulty.Store) { s.Set("/begun", []byte("pod-1")) }, "", false, 2},
		"a lost response":                {func(s *faulty.Store) { s.Fail("PUT", "/begun", faulty.LoseAnswer) }, "", false, 3},
		"another pod":                    {func(s *faulty.Store) { s.Set("/begun", []byte("pod-2")) }, "already committed: another pod has started to write here", false, 2},
		"a server that replaces objects": {(*faulty.Store).IgnoreIfNoneMatch, "the store ignores If-None-Match: *", true, 2},
		"401":                            {func(s *faulty.Store) { s.Fail("PUT", "/begun", faulty.Status(401)) }, "401 Unauthorized: the server requires credentials: set HTTP_STORE_HOST", true, 1},
		"403":                            {func(s *faulty.Store) { s.Fail("PUT", "/begun", faulty.Status(403)) }, "403 Forbidden: allow the pod's credentials to create", true, 1},
		"404":                            {func(s *faulty.Store) { s.Fail("PUT", "/begun", faulty.Status(404)) }, "404 Not Found: create the bucket", true, 1},
		"405":                            {func(s *faulty.Store) { s.Fail("PUT", "/begun", faulty.Status(405)) }, "use a server that accepts PUT with If-None-Match", true, 1},
		"an outage":                      {func(s *faulty.Store) { s.Fail("PUT", "/begun", forever(faulty.Status(503))...) }, "503 Service Unavailable (gave up after", false, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := faulty.New(t)
			test.prepare(server)
			err := stores().Probe(t.Context(), server.URL+"/begun", []byte("pod-1"))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), "/begun: "+test.want) && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
			if store.IsPermanent(err) != test.permanent {
				t.Errorf("permanent: %t", store.IsPermanent(err))
			}
			if got := server.Requests(); test.requests != 0 && len(got) != test.requests {
				t.Errorf("requests %q", got)
			}
		})
	}
}

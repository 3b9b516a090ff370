// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"io"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// stores look for their configuration where a pod has it.
func stores() *store.Stores {
	s := store.New(map[string]store.Backend{"s3": &s3.Store{}})
	s.RetryTimeout = 2 * time.Second
	return s
}

// serve starts a server with a bucket, has the test reach it as a pod does, and
// returns the bucket's folder, or skips.
func serve(t *testing.T) string {
	t.Helper()
	server := s3server.Start(t, "127.0.0.1")
	s3server.SetEnv(t, server.Endpoint)
	return server.Bucket
}

// zeros is a stream of a size that can be read again.
func zeros(size int64) io.ReadSeeker { return io.NewSectionReader(zero{}, 0, size) }

type zero struct{}

func (zero) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

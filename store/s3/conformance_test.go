// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

func bucketURI(_, name string) string { return "s3://bucket/" + name }

func TestNetworkFaults(t *testing.T) {
	storetest.Run(t, storetest.Target{
		URI: bucketURI,
		Connect: func(t *testing.T, endpoint string, parts store.Parts, _ []string) map[string]store.Backend {
			s3server.SetEnv(t, endpoint)
			return map[string]store.Backend{"s3": &s3.Store{Parts: parts}}
		},
		Multipart: []string{"CREATE", "PART", "COMPLETE"},
	})
}

func TestNetworkFaultsOfSignedURLs(t *testing.T) {
	storetest.Run(t, storetest.Target{
		URI: bucketURI,
		Connect: func(t *testing.T, endpoint string, _ store.Parts, names []string) map[string]store.Backend {
			s3server.SetEnv(t, endpoint)
			var uris []string
			for _, name := range names {
				uris = append(uris, bucketURI("", name))
			}
			return map[string]store.Backend{"s3": &s3.Signed{Path: sign(t, time.Hour, "", allOf(uris...)...), UID: "uid-1"}}
		},
	})
}

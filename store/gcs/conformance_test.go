// SPDX-License-Identifier: Apache-2.0

package gcs_test

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

func TestNetworkFaults(t *testing.T) {
	storetest.Run(t, storetest.Target{
		URI: func(_, name string) string { return "gs://bucket/" + name },
		Connect: func(t *testing.T, endpoint string, _ store.Parts, _ []string) map[string]store.Backend {
			t.Setenv("STORAGE_EMULATOR_HOST", endpoint)
			return map[string]store.Backend{"gs": &gcs.Store{}}
		},
	})
}

// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

func TestNetworkFaults(t *testing.T) {
	storetest.Run(t, storetest.Target{
		URI: func(endpoint, name string) string { return endpoint + "/bucket/" + name },
		Connect: func(*testing.T, string, store.Parts, []string) map[string]store.Backend {
			backend := &web.Store{}
			return map[string]store.Backend{"http": backend, "https": backend}
		},
	})
}

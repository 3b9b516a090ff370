// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/gateway"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

// TestNetworkFaults has the faults of all stores between the pod and its gateway.
func TestNetworkFaults(t *testing.T) {
	storetest.Run(t, storetest.Target{
		URI: func(_, name string) string {
			return contract.AttemptURI(contract.GatewayOutputs("a"), "uid", 1) + "/" + name
		},
		Path: func(name string) string { return "/v1/namespaces/a/groups/uid/a1/" + name },
		Connect: func(t *testing.T, endpoint string, _ store.Parts, _ []string) map[string]store.Backend {
			setPod(t, endpoint, "token", "")
			return map[string]store.Backend{contract.GatewayScheme: &gateway.Store{}}
		},
	})
}

// setPod makes the environment that of a pod.
func setPod(t *testing.T, endpoint, token, caFile string) (tokenFile string) {
	t.Helper()
	tokenFile = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(contract.GatewayURLEnv, endpoint)
	t.Setenv(contract.GatewayTokenEnv, tokenFile)
	t.Setenv(contract.GatewayCAEnv, caFile)
	return tokenFile
}

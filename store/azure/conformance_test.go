// SPDX-License-Identifier: Apache-2.0

package azure_test

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/storetest"
)

func TestNetworkFaults(t *testing.T) {
	storetest.Run(t, storetest.Target{
		URI: func(_, name string) string { return "azblob://bucket/" + name },
		Connect: func(t *testing.T, endpoint string, parts store.Parts, _ []string) map[string]store.Backend {
			t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=account;AccountKey=c2VjcmV0;BlobEndpoint="+endpoint)
			return map[string]store.Backend{"azblob": &azure.Store{Parts: parts}}
		},
		Multipart: []string{"PART", "COMPLETE"},
	})
}

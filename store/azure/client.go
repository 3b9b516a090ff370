// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// defaultDomain is the domain of the public cloud.
const defaultDomain = "blob.core.windows.net"

var errNoAccount = fmt.Errorf("%w: no account: set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING", store.ErrNoCredentials)

// client makes the client of one blob. Package container would make one for all, and make
// the runner two megabytes larger.
func (s *Store) client(bucket, key string) (*blockblob.Client, error) {
	s.once.Do(func() {
		if s.http == nil {
			s.http = transport.FixedClient()
		}
		s.options = &blockblob.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: s.http,
			// Stores retries, for all schemes in the same way.
			Retry: policy.RetryOptions{MaxRetries: -1},
		}}
	})
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		client, err := blockblob.NewClientFromConnectionString(text, bucket, key, s.options)
		if err != nil {
			// Its text may hold the key.
			return nil, errors.New("AZURE_STORAGE_CONNECTION_STRING cannot be read")
		}
		return client, nil
	}
	account := os.Getenv("AZURE_STORAGE_ACCOUNT")
	if account == "" {
		return nil, errNoAccount
	}
	endpoint := cmp.Or(os.Getenv("AZURE_STORAGE_BLOB_ENDPOINT"), "https://"+account+"."+defaultDomain)
	target := strings.TrimRight(endpoint, "/") + "/" + bucket + "/" + url.PathEscape(key)
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" {
		credential, err := blob.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, errors.New("AZURE_STORAGE_KEY is not base64")
		}
		return blockblob.NewClientWithSharedKeyCredential(target, credential, s.options)
	}
	if token := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); token != "" {
		return blockblob.NewClientWithNoCredential(target+"?"+strings.TrimPrefix(token, "?"), s.options)
	}
	credential, err := s.identity()
	if err != nil {
		return nil, err
	}
	return blockblob.NewClient(target, credential, s.options)
}

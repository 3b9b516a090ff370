// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// Store is the Backend of azblob and blob.
type Store struct {
	// Parts are the sizes of parts; 64 MiB, 16 MiB and 50,000 if zero.
	Parts store.Parts

	once    sync.Once
	options *blockblob.ClientOptions
	// http and disableDiscovery are set by tests.
	http             *http.Client
	disableDiscovery bool

	mu         sync.Mutex
	credential azcore.TokenCredential
}

func (s *Store) blob(uri string) (*blockblob.Client, error) {
	bucket, key, err := store.Bucket(uri)
	if err != nil {
		return nil, err
	}
	return s.client(bucket, key)
}

// Open implements store.Backend.
func (s *Store) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	client, err := s.blob(uri)
	if err != nil {
		return nil, err
	}
	options := &blob.DownloadStreamOptions{}
	if from.Offset > 0 {
		options.Range = blob.HTTPRange{Offset: from.Offset}
		options.AccessConditions = match(&blob.ModifiedAccessConditions{IfMatch: new(azcore.ETag(from.Version))})
	}
	answer, err := client.DownloadStream(ctx, options)
	if err != nil {
		err = failure(err)
		if from.Offset > 0 && errors.Is(err, store.ErrExists) {
			return s.Open(ctx, uri, store.Position{})
		}
		return nil, err
	}
	object := &store.Object{ReadCloser: answer.Body, Offset: from.Offset, Size: -1}
	if answer.ETag != nil {
		object.Version = string(*answer.ETag)
	}
	if answer.ContentLength != nil {
		object.Size = from.Offset + *answer.ContentLength
	}
	return object, nil
}

// Put implements store.Backend.
func (s *Store) Put(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, uri, body, nil)
}

// Commit implements store.Backend.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, uri, body, match(&blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)}))
}

// Remove implements store.Remover.
func (s *Store) Remove(ctx context.Context, uri string) error {
	client, err := s.blob(uri)
	if err != nil {
		return err
	}
	_, err = client.Delete(ctx, nil)
	return failure(err)
}

func (s *Store) put(ctx context.Context, uri string, body *store.Body, conditions *blob.AccessConditions) error {
	client, err := s.blob(uri)
	if err != nil {
		return err
	}
	_, err = client.Upload(ctx, body.Reader(), &blockblob.UploadOptions{AccessConditions: conditions})
	return failure(err)
}

func match(conditions *blob.ModifiedAccessConditions) *blob.AccessConditions {
	return &blob.AccessConditions{ModifiedAccessConditions: conditions}
}

// failure translates an error of the SDK, whose texts quote the request with its URL.
func failure(err error) error {
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		if answer.StatusCode == http.StatusPreconditionFailed || answer.ErrorCode == "BlobAlreadyExists" {
			return store.ErrExists
		}
		status := &store.StatusError{Code: answer.StatusCode, Text: answer.ErrorCode}
		if answer.RawResponse != nil {
			status.RetryAfter = store.RetryAfter(answer.RawResponse.Header)
		}
		return status
	}
	if failed, ok := errors.AsType[*tokenError](err); ok {
		return failed
	}
	return transport.Bare(err)
}

// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Store is the Backend of s3.
type Store struct {
	// Parts are the sizes of parts; 64 MiB, 16 MiB and 10,000 if zero.
	Parts store.Parts

	mu          sync.Mutex
	client      *s3.Client
	credentials aws.CredentialsProvider
	options     options
	// foreign is set for servers other than Amazon's.
	foreign bool
	// http is set by tests.
	http s3.HTTPClient
}

// Open implements store.Backend.
func (s *Store) Open(ctx context.Context, uri string, from store.Position) (*store.Object, error) {
	bucket, key, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	client, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	input := &s3.GetObjectInput{Bucket: &bucket, Key: &key, RequestPayer: s.options.payer}
	if from.Offset > 0 {
		input.Range, input.IfMatch = aws.String(fmt.Sprintf("bytes=%d-", from.Offset)), &from.Version
	}
	output, err := client.GetObject(ctx, input)
	if err != nil && from.Offset > 0 && isChanged(err) {
		return s.Open(ctx, uri, store.Position{})
	}
	if err != nil {
		return nil, failure(err)
	}
	object := &store.Object{ReadCloser: output.Body, Size: -1, Version: aws.ToString(output.ETag)}
	if output.ContentLength != nil {
		object.Size = *output.ContentLength
		if output.ContentRange != nil {
			object.Offset = from.Offset
			object.Size += from.Offset
		}
	}
	return object, nil
}

// Put implements store.Backend.
func (s *Store) Put(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, uri, body, nil)
}

// Commit implements store.Backend.
func (s *Store) Commit(ctx context.Context, uri string, body *store.Body) error {
	return s.put(ctx, uri, body, aws.String("*"))
}

// Remove implements store.Remover. S3 reports success also for a missing object.
func (s *Store) Remove(ctx context.Context, uri string) error {
	bucket, key, err := parseURI(uri)
	if err != nil {
		return err
	}
	client, err := s.load(ctx)
	if err != nil {
		return err
	}
	_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, RequestPayer: s.options.payer})
	return failure(err)
}

// MustVerifyCondition implements store.ConditionVerifier.
func (s *Store) MustVerifyCondition(string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.foreign
}

func (s *Store) put(ctx context.Context, uri string, body *store.Body, ifNoneMatch *string) error {
	bucket, key, err := parseURI(uri)
	if err != nil {
		return err
	}
	client, err := s.load(ctx)
	if err != nil {
		return err
	}
	_, err = client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: body.Reader(), ContentLength: aws.Int64(body.Size()), IfNoneMatch: ifNoneMatch,
		ServerSideEncryption: s.options.encryption, SSEKMSKeyId: s.options.kmsKey, RequestPayer: s.options.payer,
	})
	return failure(err)
}

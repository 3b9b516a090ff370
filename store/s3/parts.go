// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

var defaultParts = store.Parts{Above: 64 << 20, Least: 16 << 20, Most: 10_000}

// uploadKey is the metadata of an object that names its upload.
const uploadKey = "taskgroup-upload"

// PartSizes implements store.Multipart.
func (s *Store) PartSizes() store.Parts { return cmp.Or(s.Parts, defaultParts) }

// Begin implements store.Multipart.
func (s *Store) Begin(ctx context.Context, uri string) (store.Upload, error) {
	bucket, key, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	client, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	name := rand.Text()
	o := &s.options
	begun, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &bucket, Key: &key, Metadata: map[string]string{uploadKey: name},
		ServerSideEncryption: o.encryption, SSEKMSKeyId: o.kmsKey, RequestPayer: o.payer,
	})
	if err != nil {
		return nil, failure(err)
	}
	return &upload{client: client, bucket: bucket, key: key, id: aws.ToString(begun.UploadId), name: name, payer: o.payer}, nil
}

// upload is a multipart upload.
type upload struct {
	client          *s3.Client
	bucket, key, id string
	// name is in the metadata of the object.
	name  string
	payer types.RequestPayer
	parts []types.CompletedPart
	size  int64
	// tried is set after the first request to complete the upload.
	tried bool
}

// Part implements store.Upload. Amazon counts from 1.
func (u *upload) Part(ctx context.Context, number int, r *store.Reader) error {
	n := int32(number + 1)
	sent, err := u.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &n, Body: r, ContentLength: aws.Int64(r.Len()), RequestPayer: u.payer,
	})
	if err != nil {
		return failure(err)
	}
	u.size += r.Len()
	u.parts = append(u.parts[:number], types.CompletedPart{ETag: sent.ETag, PartNumber: &n})
	return nil
}

// Complete implements store.Upload.
func (u *upload) Complete(ctx context.Context) error {
	retried := u.tried
	u.tried = true
	_, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}, RequestPayer: u.payer,
	})
	if named, ok := errors.AsType[smithy.APIError](err); ok && retried && named.ErrorCode() == "NoSuchUpload" {
		// The response to an earlier try was lost, and the upload is completed.
		if completed, readErr := u.isCompleted(ctx); readErr != nil {
			return readErr
		} else if completed {
			return nil
		}
	}
	return failure(err)
}

// isCompleted reports whether the object is the one of this upload. The metadata names
// it: ETags are not of the content with every kind of encryption.
func (u *upload) isCompleted(ctx context.Context) (bool, error) {
	// One byte, since not every policy that allows GET allows HEAD.
	object, err := u.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &u.bucket, Key: &u.key, Range: aws.String("bytes=0-0"), RequestPayer: u.payer})
	if err != nil {
		return false, failure(err)
	}
	_ = object.Body.Close()
	_, size, _ := strings.Cut(aws.ToString(object.ContentRange), "/")
	return object.Metadata[uploadKey] == u.name && size == strconv.FormatInt(u.size, 10), nil
}

// Abort implements store.Upload. If it fails, the bucket's own rule for incomplete uploads
// has to remove the parts.
func (u *upload) Abort(ctx context.Context) {
	_, _ = u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, RequestPayer: u.payer})
}

package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	partsAbove = 64 << 20
	leastPart  = 16 << 20
	mostParts  = 10_000
)

// PartsAbove implements store.Multipart.
func (*Store) PartsAbove() int64 { return partsAbove }

// PartSize implements store.Multipart.
func (*Store) PartSize(size int64) int64 {
	return max(leastPart, (size+mostParts-1)/mostParts)
}

// Begin implements store.Multipart.
func (s *Store) Begin(ctx context.Context, uri string) (store.Upload, error) {
	bucket, key, err := store.Bucket(uri)
	if err != nil {
		return nil, err
	}
	client, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	begun, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, failure(err)
	}
	return &upload{client: client, bucket: bucket, key: key, id: aws.ToString(begun.UploadId)}, nil
}

// upload is a multipart upload that has begun.
type upload struct {
	client          *s3.Client
	bucket, key, id string
	parts           []types.CompletedPart
}

// Part implements store.Upload. Amazon counts from 1.
func (u *upload) Part(ctx context.Context, number int, r *store.Reader) error {
	n := int32(number + 1)
	sent, err := u.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: &n, Body: r, ContentLength: aws.Int64(r.Len()),
	})
	if err != nil {
		return failure(err)
	}
	u.parts = append(u.parts[:number], types.CompletedPart{ETag: sent.ETag, PartNumber: &n})
	return nil
}

// Complete implements store.Upload.
func (u *upload) Complete(ctx context.Context) error {
	_, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	return failure(err)
}

// Abort implements store.Upload. Where it fails, the bucket's own rule for
// uploads that were not completed has to do it.
func (u *upload) Abort(ctx context.Context) {
	_, _ = u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id})
}

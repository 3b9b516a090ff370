// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// Signer signs URLs with the credentials of this process, so that their users need none.
// It sends no request to the store.
type Signer struct{ store Store }

// Sign returns a URL for each permission, and until when they are valid: for lifetime, or
// as long as temporary credentials are. The endpoint, if any, replaces the configured one.
// Errors contain no URL.
func (s *Signer) Sign(ctx context.Context, endpoint string, lifetime time.Duration, permissions []contract.Permission) ([]string, time.Time, error) {
	client, err := s.store.load(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	credentials, err := s.store.credentials.Retrieve(ctx)
	if err != nil {
		return nil, time.Time{}, credentialsError(err)
	}
	now := time.Now().UTC()
	until := now.Add(lifetime)
	if credentials.CanExpire && credentials.Expires.Before(until) {
		until = credentials.Expires
	}
	presigner := s3.NewPresignClient(client, func(o *s3.PresignOptions) {
		o.Expires = lifetime
		o.Presigner = presignerAt{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), now}
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
			if endpoint != "" {
				o.BaseEndpoint = &endpoint
				o.UsePathStyle = o.UsePathStyle || isForeign(&endpoint)
			}
		})
	})
	urls := make([]string, 0, len(permissions))
	for _, p := range permissions {
		signed, err := presign(ctx, presigner, p)
		if err != nil {
			return nil, time.Time{}, err
		}
		urls = append(urls, signed)
	}
	return urls, until, nil
}

func presign(ctx context.Context, presigner *s3.PresignClient, p contract.Permission) (string, error) {
	bucket, key, err := parseURI(p.URI)
	if err != nil {
		return "", err
	}
	var request *v4.PresignedHTTPRequest
	if p.Access == contract.AccessGet {
		request, err = presigner.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	} else {
		input := &s3.PutObjectInput{Bucket: &bucket, Key: &key}
		if p.Access == contract.AccessCreate {
			input.IfNoneMatch = aws.String("*")
		}
		request, err = presigner.PresignPutObject(ctx, input)
	}
	if err != nil {
		return "", failure(err)
	}
	return request.URL, nil
}

// presignerAt signs all URLs of a group with one time, so that they differ only in their
// objects.
type presignerAt struct {
	*v4.Signer
	now time.Time
}

// PresignHTTP implements s3.HTTPPresignerV4.
//
//nolint:revive // the SDK's interface has so many arguments
func (p presignerAt) PresignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, options ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return p.Signer.PresignHTTP(ctx, credentials, r, payloadHash, service, region, p.now, options...)
}

// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// defaultRegion is used if none is configured: other servers than Amazon's seldom have
// regions, and Amazon's response names the right one.
const defaultRegion = "us-east-1"

// load makes the client for the first object, and makes sure that there are
// credentials. The SDK renews those that expire.
func (s *Store) load(ctx context.Context) (*s3.Client, error) {
	client, credentials, err := s.configure(ctx)
	if err != nil {
		return nil, err
	}
	// Not under the lock: a service that does not respond must not block requests
	// that have credentials.
	if _, err := credentials.Retrieve(ctx); err != nil {
		return nil, credentialsError(err)
	}
	return client, nil
}

func (s *Store) configure(ctx context.Context) (*s3.Client, aws.CredentialsProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, s.credentials, nil
	}
	options, err := readOptions()
	if err != nil {
		return nil, nil, err
	}
	loaded, err := config.LoadDefaultConfig(ctx,
		// Errors are returned. The log of the pod belongs to its tasks.
		config.WithLogger(logging.Nop{}),
		// A client of the SDK, so that it can add the certificates of AWS_CA_BUNDLE. The
		// clients that obtain credentials use it; that of S3 has its own.
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(transport.ConfigureForCredentials)),
		// Many servers do not know the newer checksums. The SHA-256 of a body is
		// part of every signature, and every server verifies that.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	loaded.Region = cmp.Or(loaded.Region, defaultRegion)
	s.credentials, s.options = loaded.Credentials, options
	s.client = s3.NewFromConfig(loaded, func(o *s3.Options) {
		// Stores retries, for all schemes in the same way. The clients that obtain
		// credentials keep the retries of the SDK.
		o.Retryer = aws.NopRetryer{}
		if o.HTTPClient = splitPools(o.HTTPClient); s.http != nil {
			o.HTTPClient = s.http
		}
		o.DisableLogOutputChecksumValidationSkipped = true
		s.foreign = isForeign(o.BaseEndpoint)
		o.UsePathStyle = options.usePathStyle(o.UsePathStyle || s.foreign)
	})
	return s.client, s.credentials, nil
}

// pools keep the connections of reads and of writes apart; see package transport.
type pools struct{ reads, writes s3.HTTPClient }

// Do implements s3.HTTPClient.
func (p pools) Do(r *http.Request) (*http.Response, error) {
	if transport.IsRead(r) {
		return p.reads.Do(r)
	}
	return p.writes.Do(r)
}

func splitPools(client s3.HTTPClient) s3.HTTPClient {
	buildable, ok := client.(*awshttp.BuildableClient)
	if !ok {
		return client
	}
	return pools{reads: buildable.WithTransportOptions(transport.Configure), writes: buildable.WithTransportOptions(transport.Configure)}
}

// isForeign reports whether an endpoint is of another server than Amazon's.
func isForeign(endpoint *string) bool {
	if endpoint == nil {
		return false
	}
	parsed, err := url.Parse(*endpoint)
	if err != nil {
		return true
	}
	host := parsed.Hostname()
	return !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn")
}

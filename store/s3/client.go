package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/taskgroup-operator/taskgroup-operator/store/transport"
)

// defaultRegion serves where none is configured: other servers than Amazon's
// seldom have regions, and Amazon's answer names the right one.
const defaultRegion = "us-east-1"

// load makes the client when the first object is asked for, and makes sure that
// there are credentials. Those that expire are renewed by the SDK.
func (s *Store) load(ctx context.Context) (*s3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		loaded, err := config.LoadDefaultConfig(ctx,
			// One of the SDK's own, or it could not add the certificates of AWS_CA_BUNDLE.
			config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(transport.Configure)),
			// Stores tries again, for all schemes in the same way.
			config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
			// Many servers do not know the newer checksums. The SHA-256 of a body is
			// part of every signature, and every server verifies that.
			config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		)
		if err != nil {
			return nil, fmt.Errorf("reading the AWS configuration: %w", err)
		}
		loaded.Region = cmp.Or(loaded.Region, defaultRegion)
		s.credentials = loaded.Credentials
		s.client = s3.NewFromConfig(loaded, func(o *s3.Options) {
			o.DisableLogOutputChecksumValidationSkipped = true
			s.foreign = isForeign(o.BaseEndpoint)
			o.UsePathStyle = o.UsePathStyle || s.foreign
		})
	}
	if _, err := s.credentials.Retrieve(ctx); err != nil {
		return nil, credentialsError(err)
	}
	return s.client, nil
}

// isForeign says whether an endpoint is of another server than Amazon's.
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

// credentialsError is worth another try only where a service gives the
// credentials: without one, the error is of the search for it.
func credentialsError(err error) error {
	for _, name := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		if os.Getenv(name) != "" {
			return fmt.Errorf("no credentials by %s: %w", name, err)
		}
	}
	return &noCredentialsError{err}
}

// noCredentialsError is final whatever it was made of.
type noCredentialsError struct{ cause error }

func (e *noCredentialsError) Error() string {
	return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from a Secret, mount a file and name it in " +
		"AWS_SHARED_CREDENTIALS_FILE, or use workload identity: " + e.cause.Error()
}

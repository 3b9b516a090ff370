// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/test/s3server"
)

// TestOptions: what the variables of options change in a request.
func TestOptions(t *testing.T) {
	tests := map[string]struct {
		env map[string]string
		uri string
		// url and header are the URL and the header of the request.
		url    string
		header map[string]string
		want   string
	}{
		"path style of other servers": {nil, "s3://bucket/k", "http://s3.example/bucket/k?x-id=PutObject", nil, ""},
		"path":                        {map[string]string{"AWS_S3_ADDRESSING_STYLE": "path"}, "s3://bucket/k", "http://s3.example/bucket/k?x-id=PutObject", nil, ""},
		"virtual":                     {map[string]string{"AWS_S3_ADDRESSING_STYLE": "virtual"}, "s3://bucket/k", "http://bucket.s3.example/k?x-id=PutObject", nil, ""},
		"auto":                        {map[string]string{"AWS_S3_ADDRESSING_STYLE": "auto"}, "s3://bucket/k", "http://s3.example/bucket/k?x-id=PutObject", nil, ""},
		"another style":               {map[string]string{"AWS_S3_ADDRESSING_STYLE": "host"}, "s3://bucket/k", "", nil, `AWS_S3_ADDRESSING_STYLE is "host": use path, virtual or auto`},
		"path, at Amazon":             {map[string]string{"AWS_S3_ADDRESSING_STYLE": "path", "AWS_ENDPOINT_URL_S3": ""}, "s3://bucket/k", "https://s3.us-east-1.amazonaws.com/bucket/k?x-id=PutObject", nil, ""},
		"an access point": {map[string]string{"AWS_ENDPOINT_URL_S3": "", "AWS_REGION": "eu-central-1"}, "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/team/a/k",
			"https://team-123456789012.s3-accesspoint.eu-central-1.amazonaws.com/a/k?x-id=PutObject", nil, ""},
		"an ARN of something else": {nil, "s3://arn:aws:s3:::bucket/k", "", nil, "want s3://arn:aws:s3:region:account:accesspoint/name/key"},
		"an access point, dots":    {nil, "s3://arn:aws:s3:r:1:accesspoint/team/../k", "", nil, "a key with . or .. as a part of its path"},
		"AES256": {map[string]string{"AWS_SERVER_SIDE_ENCRYPTION": "AES256"}, "s3://bucket/k", "",
			map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}, ""},
		"KMS": {map[string]string{"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": "key"}, "s3://bucket/k", "",
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key"}, ""},
		"a key without KMS":  {map[string]string{"AWS_SSE_KMS_KEY_ID": "key"}, "s3://bucket/k", "", nil, "AWS_SSE_KMS_KEY_ID is set: set AWS_SERVER_SIDE_ENCRYPTION to aws:kms too"},
		"another encryption": {map[string]string{"AWS_SERVER_SIDE_ENCRYPTION": "rot13"}, "s3://bucket/k", "", nil, `AWS_SERVER_SIDE_ENCRYPTION is "rot13": use AES256, aws:kms or aws:kms:dsse`},
		"requester pays":     {map[string]string{"AWS_REQUEST_PAYER": "requester"}, "s3://bucket/k", "", map[string]string{"X-Amz-Request-Payer": "requester"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var seen *http.Request
			all := store.New(map[string]store.Backend{"s3": s3.NewWith(clientFunc(func(r *http.Request) (*http.Response, error) {
				_, _ = io.Copy(io.Discard, r.Body)
				seen = r
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}))})
			s3server.SetEnv(t, "http://s3.example")
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			_, err := all.Put(t.Context(), test.uri, strings.NewReader("data"))
			if test.want != "" {
				if err == nil || err.Error() != test.uri+": "+test.want {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || seen == nil {
				t.Fatalf("request %v, error %v", seen, err)
			}
			if got := seen.URL.String(); test.url != "" && got != test.url {
				t.Errorf("sent to %s", got)
			}
			for name, want := range test.header {
				if got := seen.Header.Get(name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
		})
	}
}

// clientFunc responds to requests without a network.
type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

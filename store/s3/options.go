// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// The variables of options that the SDK does not read. Other clients of S3 use the same
// names.
const (
	envAddressing = "AWS_S3_ADDRESSING_STYLE"
	envEncryption = "AWS_SERVER_SIDE_ENCRYPTION"
	envKMSKey     = "AWS_SSE_KMS_KEY_ID"
	envPayer      = "AWS_REQUEST_PAYER"
)

// options of requests; their zero values are the values of the server.
type options struct {
	// addressing is path, virtual or auto.
	addressing string
	encryption types.ServerSideEncryption
	kmsKey     *string
	payer      types.RequestPayer
}

func readOptions() (options, error) {
	o := options{
		addressing: os.Getenv(envAddressing),
		encryption: types.ServerSideEncryption(os.Getenv(envEncryption)),
		payer:      types.RequestPayer(os.Getenv(envPayer)),
	}
	switch o.addressing {
	case "", "auto", "path", "virtual":
	default:
		return o, fmt.Errorf("%s is %q: use path, virtual or auto", envAddressing, o.addressing)
	}
	switch o.encryption {
	case "", types.ServerSideEncryptionAes256, types.ServerSideEncryptionAwsKms, types.ServerSideEncryptionAwsKmsDsse:
	default:
		return o, fmt.Errorf("%s is %q: use AES256, aws:kms or aws:kms:dsse", envEncryption, o.encryption)
	}
	if o.payer != "" && o.payer != types.RequestPayerRequester {
		return o, fmt.Errorf("%s is %q: use requester", envPayer, o.payer)
	}
	if key := os.Getenv(envKMSKey); key != "" {
		if !strings.HasPrefix(string(o.encryption), "aws:kms") {
			return o, fmt.Errorf("%s is set: set %s to aws:kms too", envKMSKey, envEncryption)
		}
		o.kmsKey = &key
	}
	return o, nil
}

// usePathStyle reports whether the bucket is in the path, not in the name of the host.
func (o *options) usePathStyle(auto bool) bool {
	if o.addressing == "" || o.addressing == "auto" {
		return auto
	}
	return o.addressing == "path"
}

// accessPoint precedes the name in the ARN of an access point, which replaces a bucket.
const accessPoint = ":accesspoint/"

// parseURI splits s3://bucket/key, and s3://arn:aws:s3:region:account:accesspoint/name/key.
func parseURI(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://arn:")
	if !ok {
		return store.Bucket(uri)
	}
	arn, rest, ok := strings.Cut(rest, accessPoint)
	name, key, _ := strings.Cut(rest, "/")
	if !ok || name == "" || strings.ContainsAny(arn+name, "@?#%\\/") || strings.Count(arn, ":") != 3 {
		return "", "", fmt.Errorf("want s3://arn:aws:s3:region:account%sname/key", accessPoint)
	}
	return "arn:" + arn + accessPoint + name, key, store.CheckKey(name, key)
}

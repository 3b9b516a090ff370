// SPDX-License-Identifier: Apache-2.0

// Package s3 is the store behind s3://bucket/key: Amazon S3, and servers with its protocol.
// The AWS SDK finds credentials, region and endpoint. Requests to another endpoint than
// Amazon's have the bucket in their path, unless AWS_S3_ADDRESSING_STYLE is virtual.
package s3

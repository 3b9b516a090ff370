// Package s3 is the store behind s3://bucket/key: Amazon S3 and what speaks its
// protocol. Credentials, region and endpoint come from where the AWS SDK looks
// for them; another endpoint than Amazon's is asked by path, not by host name.
package s3

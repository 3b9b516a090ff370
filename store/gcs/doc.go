// SPDX-License-Identifier: Apache-2.0

// Package gcs is the store behind gs://bucket/key: Google Cloud Storage, by its XML API,
// which is plain HTTP. Google's own client library would make the runner four times as
// large. Credentials are the credentials of a file, or of the node; see findTokens.
//
// STORAGE_EMULATOR_HOST is another server, without credentials.
package gcs

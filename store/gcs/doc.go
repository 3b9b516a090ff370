// Package gcs is the store behind gs://bucket/key: Google Cloud Storage, by its
// XML API, which is plain HTTP. Google's own client library would make the
// runner four times as large. The credentials are Google's default ones, from
// its library for that.
//
// STORAGE_EMULATOR_HOST leads to another server, without credentials.
package gcs

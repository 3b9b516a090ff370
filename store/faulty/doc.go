// SPDX-License-Identifier: Apache-2.0

// Package faulty is an object store over HTTP, for tests only, whose faults are set by the
// test. It has as much of WebDAV, S3, Google Cloud Storage and Azure Blob Storage as the
// Backends need.
package faulty

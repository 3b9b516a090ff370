// SPDX-License-Identifier: Apache-2.0

// Package bucket stores objects in a bucket, through a store.Backend.
//
//	<uri>/.taskgroup-gateway                      is created at the start
//	<uri>/<ns>/content/<sha256>                   inputs
//	<uri>/<ns>/groups/<uid>/a<n>/<name>           results
//
//	body ──> file without a name ──> digest, authorization ──> Commit
//
// An object in the bucket begins with the record of its size and its SHA-256, which is the
// trailer of a file on a volume. Both are one object, so that they become visible together,
// and every store has them. A reader gets the record with the first response; a trailer, or
// a second object, would need one more request.
//
// A body is received into a file before it is sent: its digest is known before anything is
// in the bucket, the stores sign and send it as often as needed, and the memory does not
// depend on its size. The file has no name, so that a crash leaves nothing.
//
// The condition of Commit creates each object once, whatever other gateways do. A bucket
// has no folders: the name of an object may continue that of another one.
package bucket

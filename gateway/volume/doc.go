// SPDX-License-Identifier: Apache-2.0

// Package volume stores objects on a file system.
//
//	<dir>/.taskgroup-gateway                             identifies the volume
//	<dir>/.lock                                          is locked by the gateway that uses it
//	<dir>/temporary/                                     files that are being written or deleted
//	<dir>/namespaces/<ns>/content/<sha256>               inputs
//	<dir>/namespaces/<ns>/groups/<uid>/a<n>/<name>       results
//
// A file has the bytes of its object, and after them a trailer with their number and
// their SHA-256. Both are one file, so that they become visible together.
//
// An object is written to a temporary file and flushed. Then it gets its name, unless
// an object has this name, and its folder is flushed. A crash at any time leaves a
// temporary file at most, and these are deleted when the volume is opened.
//
// Nothing here depends on the clock.
package volume

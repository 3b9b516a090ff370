// SPDX-License-Identifier: Apache-2.0

// Package store reads and writes the objects that URIs name. Each scheme has a Backend in
// a package below; package backends has them all.
//
//	Fetch   Locate if the object is a file, else Open, copy, verify
//	Put     an object that nothing refers to yet
//	Commit  create if absent, after everything that was Put is durable
//	Probe   Commit of a small object, before there are results
//
// A Backend tries once, and classifies its errors by their type. Stores does the rest for
// every scheme: it retries, resumes, gives up a transfer that stalls, verifies, and keeps
// secrets out of errors.
package store

// Package store reads and writes the objects that URIs name. Each scheme has a
// Backend; file:// is the one there is.
//
//	Locate   file:///a -> /a                      no copy where there is a path
//	Open     any object, as a stream
//	Put      an object that nothing refers to yet
//	Commit   create if absent, after all that was Put is durable
package store

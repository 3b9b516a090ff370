// Package store reads and writes the objects that URIs name. Each scheme has a
// Backend; the one of file:// is here, the others are in the packages below.
//
//	Fetch   Locate where an object is a file, else Open, copy, verify
//	Put     an object that nothing refers to yet
//	Commit  create if absent, after all that was Put is durable
//
// A Backend tries once and tells by the type of its error whether another try
// may help. Stores does all the rest for every scheme: it tries again, resumes,
// gives up on a store that stalls, verifies, and keeps secrets out of errors.
package store

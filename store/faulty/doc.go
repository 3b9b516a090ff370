// Package faulty is a store over HTTP that fails as it is told to. It is for
// tests only.
package faulty
